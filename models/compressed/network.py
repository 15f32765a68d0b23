"""Make the network that every variant but the student begins with. recipe.yaml trains it."""

import tf_keras as keras


def network() -> keras.Model:
    """Return a CNN of 9,258 parameters for 8x8 images of digits."""
    return keras.Sequential(
        [
            keras.layers.InputLayer((8, 8, 1), name="image"),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
