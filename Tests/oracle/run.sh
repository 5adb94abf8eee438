#!/usr/bin/env bash
# Compares the release build of motc with PyTorch, where PyTorch is or can be installed.
set -euo pipefail
cd "$(dirname "$0")/../.."

# The wheel without GPU libraries where the index has it, which is a tenth of the other one's size.
wheels=(torch==2.13.0+cpu torch)
packages=(safetensors numpy)
python=python3
environment=.build/oracle

has_packages() {
  "$1" -c 'import torch, safetensors, numpy' 2>/dev/null
}

# Creates an environment of this checkout's own. Not being able to is no failure of motc.
install_packages() {
  python3 -m venv "$environment" || return 1
  local torch
  for torch in "${wheels[@]}"; do
    timeout 300 "$environment/bin/pip" install -q --disable-pip-version-check --retries 1 \
      --timeout 20 "$torch" "${packages[@]}" && return 0
  done
  return 1
}

if ! command -v python3 >/dev/null; then
  echo "oracle: skipped, because this machine has no python3"
  exit 0
fi
if ! has_packages "$python"; then
  python=$environment/bin/python
  if ! has_packages "$python" && ! { install_packages && has_packages "$python"; } >&2; then
    echo "oracle: skipped, because pip could not install torch, ${packages[*]}"
    exit 0
  fi
fi
"$python" Tests/oracle/pytorch_oracle.py --motc .build/release/motc "$@"
