"""Train networks: plainly, pruned, clustered, with the rounding of int8, or taught by another network."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from orchestrator.domain.errors import ConfigError
from orchestrator.models.conversion.data import Samples
from orchestrator.models.conversion.networks import Beginning, is_trainable
from orchestrator.specs.recipe import RecipeVariantSection, TrainSection

_LOSS = "sparse_categorical_crossentropy"
_LEAST = 1e-7
"""Keeps the logarithm of a probability finite."""


def make_deterministic(seed: int) -> None:
    """Let the same recipe give the same numbers on one kind of processor."""
    tf_keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def train(began: Beginning, one: RecipeVariantSection, samples: Samples, seed: int) -> Any:
    """Return the trained network of a variant. Raise ConfigError for a network that cannot be trained so."""
    assert one.train is not None
    if not is_trainable(began.network):
        raise ConfigError("a network of Keras 3 is converted as it is, and not trained: make it with tf_keras")
    tf_keras.utils.set_random_seed(seed)
    if one.prune is not None:
        return _pruned(began.network, one, samples)
    if one.cluster is not None:
        return _clustered(began.network, one, samples)
    if one.quantisation_aware:
        return _fit(tfmot.quantization.keras.quantize_model(began.network), one.train, samples)
    if one.distil is not None:
        return _distilled(began, one, samples)
    return _fit(began.network, one.train, samples)


def _fit(network: Any, declared: TrainSection, samples: Samples, callbacks: tuple[Any, ...] = ()) -> Any:
    network.compile(optimizer=_optimiser(declared), loss=_LOSS)
    network.fit(
        samples.x, samples.y, epochs=declared.epochs, batch_size=declared.batch, verbose=0, callbacks=list(callbacks)
    )
    return network


def _optimiser(declared: TrainSection) -> Any:
    return tf_keras.optimizers.Adam(declared.learning_rate)


def _pruned(network: Any, one: RecipeVariantSection, samples: Samples) -> Any:
    assert one.prune is not None
    assert one.train is not None
    steps = math.ceil(len(samples.x) / one.train.batch) * one.train.epochs
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=one.prune.begin,
        final_sparsity=one.prune.sparsity,
        begin_step=0,
        end_step=max(1, round(steps * one.prune.until)),
        frequency=max(1, min(100, steps // 20)),
    )
    wrapped = tfmot.sparsity.keras.prune_low_magnitude(network, pruning_schedule=schedule)
    trained = _fit(wrapped, one.train, samples, (tfmot.sparsity.keras.UpdatePruningStep(),))
    return tfmot.sparsity.keras.strip_pruning(trained)


def _clustered(network: Any, one: RecipeVariantSection, samples: Samples) -> Any:
    assert one.cluster is not None
    assert one.train is not None
    wrapped = tfmot.clustering.keras.cluster_weights(
        network,
        number_of_clusters=one.cluster.clusters,
        cluster_centroids_init=tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS,
    )
    return tfmot.clustering.keras.strip_clustering(_fit(wrapped, one.train, samples))


def _distilled(began: Beginning, one: RecipeVariantSection, samples: Samples) -> Any:
    """Return the student. Its loss has the labels, and the teacher's outputs at a temperature.

    The square of the temperature keeps the gradients of both parts of one size, as Hinton, Vinyals and Dean do.
    """
    assert one.distil is not None
    assert one.train is not None
    assert began.teacher is not None
    alpha, temperature = one.distil.alpha, one.distil.temperature
    taught = tf.nn.softmax(_logits(began.teacher.predict(samples.x, verbose=0)) / temperature)
    classes = int(taught.shape[-1])
    # A loss takes one array of what is right: the label behind the teacher's outputs.
    wanted = tf.concat([taught, tf.one_hot(samples.y, classes)], axis=-1)

    def loss(right: Any, said: Any) -> Any:
        soft = tf.nn.softmax(_logits(said) / temperature)
        of_teacher = tf_keras.losses.kl_divergence(right[:, :classes], soft) * temperature**2
        of_labels = tf_keras.losses.categorical_crossentropy(right[:, classes:], said)
        return alpha * of_labels + (1 - alpha) * of_teacher

    student = began.network
    student.compile(optimizer=_optimiser(one.train), loss=loss)
    student.fit(samples.x, wanted, epochs=one.train.epochs, batch_size=one.train.batch, verbose=0)
    return student


def _logits(probabilities: Any) -> Any:
    """Return logits, but for a constant in each row, of probabilities: the networks end in a softmax."""
    return tf.math.log(tf.clip_by_value(probabilities, _LEAST, 1.0))
