#!/usr/bin/env bash
# Measures motc and its peers, with the packages of requirements.txt in an environment of this checkout's.
#
#   Benchmarks/run.sh [OPTION ...]           whole models; see Benchmarks/run.sh --help
#   Benchmarks/run.sh matmul [OPTION ...]    matrix products alone; see Benchmarks/run.sh matmul --help
#   Benchmarks/run.sh curves [OPTION ...]    losses of training; see Benchmarks/run.sh curves --help
#   Benchmarks/run.sh decode [OPTION ...]    one token at a time; see Benchmarks/run.sh decode --help
#   Benchmarks/run.sh experiment [OPTION ...]  motc alone: dense and Mixture-of-Transformers; without packages
#
# QUICK=1 takes the short form, and any Python that has PyTorch; where that cannot be installed, it is
# skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

environment=.build/bench
module=Benchmarks
case "${1:-}" in
  matmul | curves | decode | experiment)
    module=Benchmarks.$1
    shift
    ;;
esac
options=("$@")
[ -z "${QUICK:-}" ] || options+=(--quick)
quick=
for option in "${options[@]}"; do [ "$option" != --quick ] || quick=1; done

has_packages() {
  local packages='torch, numpy, safetensors'
  [ -n "$quick" ] || packages+=', jax, onnx, onnxruntime, onnxscript'
  "$1" -c "import $packages" 2>/dev/null
}

install_packages() {
  python3 -m venv "$environment" &&
    timeout 900 "$environment/bin/pip" install -q --disable-pip-version-check --retries 1 \
      --timeout 20 -r Benchmarks/requirements.txt
}

# Without its packages there is nothing to compare with; only the short form may do without.
give_up() {
  if [ -n "$quick" ]; then
    echo "bench: skipped, because $1"
    exit 0
  fi
  echo "bench: $1" >&2
  exit 2
}

command -v python3 >/dev/null || give_up "this machine has no python3"
[ "$module" != Benchmarks.experiment ] || exec python3 -m "$module" "${options[@]}"
pythons=("$environment/bin/python")
[ -z "$quick" ] || pythons+=(python3 .build/oracle/bin/python)
for python in "${pythons[@]}"; do
  if has_packages "$python"; then
    exec "$python" -m "$module" "${options[@]}"
  fi
done
install_packages >&2 || give_up "pip could not install Benchmarks/requirements.txt"
exec "$environment/bin/python" -m "$module" "${options[@]}"
