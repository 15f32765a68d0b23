#!/bin/sh
# How long does it take to read the variant's artifact, starting `dd` each time? An example of the exec interface:
# what to do comes in the environment, results go out as lines of JSON, `{"done": true}` last.
set -eu
export LC_ALL=C

now_ns() { date +%s%N; }
once() { dd if="$BENCHFLEET_MODEL" of=/dev/null bs="${BENCHFLEET_SETTING_BLOCK_KIB:-64}k" 2>/dev/null; }

case $(now_ns) in
*N) echo '{"failure": {"kind": "load-error", "message": "date knows no nanoseconds here"}}' && exit ;;
esac

once # warm up: the file is in the page cache from here on

end_ns=$(($(now_ns) + $(printf '%.0f' "${BENCHFLEET_SECONDS_MIN}e9")))
runs=0
samples=
while [ "$runs" -lt "$BENCHFLEET_RUNS_MIN" ] || [ "$(now_ns)" -lt "$end_ns" ]; do
    before=$(now_ns)
    once
    after=$(now_ns)
    samples="$samples${samples:+, }$((after - before))"
    runs=$((runs + 1))
done

echo '{"runtime": {"name": "dd", "version": "of the system"}}'
echo "{\"metric\": \"latency_ns\", \"samples\": [$samples]}"
echo '{"done": true}'
