# Build a program for a C library of TensorFlow Lite, and run the program: sh build.sh c | naive | pinned
#
# The library comes with a Python package. Whatever is missing is told as a failure of the cell, with what to do.

fail() {
    echo '{"failure": {"kind": "load-error", "message": "'"$1"'"}}'
    exit 0 # the line says it all: another exit code would hide the line
}

library=$(find "$BENCHFLEET_PACKAGES" -name libtensorflowlite_c.so | head -n 1)
[ -n "$library" ] || fail "the package has no libtensorflowlite_c.so"
ln -sf "$library" libtensorflowlite_c.so

case $1 in
    c)
        command -v cc >/dev/null || fail "no C compiler on the device: apt-get install gcc libc6-dev"
        cc -O2 -o call-c tflite.c ./libtensorflowlite_c.so -Wl,-rpath,"$PWD" 1>&2 || fail "cc failed: see the log"
        exec ./call-c
        ;;
    naive | pinned)
        command -v mcs >/dev/null && command -v mono >/dev/null ||
            fail "no mono on the device: apt-get install mono-mcs mono-runtime libmono-system-core4.0-cil"
        mcs -optimize+ -out:call.exe tflite.cs 1>&2 || fail "mcs failed: see the log"
        BINDING_COPY=$1 exec mono -O=all call.exe
        ;;
esac
fail "build.sh takes c, naive or pinned"
