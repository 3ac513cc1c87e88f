#!/usr/bin/env bash
# Makes engram-nano.gguf and suite.json from nothing: vocabulary, training, export, evaluation. Run it through `make model`.
#
#   make.sh WORK_FOLDER      keeps what is in between (vocabulary, checkpoint, log); goes on where it was interrupted
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$1
mkdir -p "$work"
# Large tensors come and go with each step: glibc keeps their memory instead of giving it back each time (an eighth faster).
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=268435456
export OMP_WAIT_POLICY=passive PYTHONDONTWRITEBYTECODE=1
# What torch.compile makes calls SLEEF's functions, and Debian's PyTorch, which has them elsewhere, doesn't say so.
sleef=/usr/lib/x86_64-linux-gnu/libsleef.so.3
[ ! -e $sleef ] || export LD_PRELOAD=$sleef
[ -e "$work/tokenizer.model" ] || python3 "$here/tokenizer.py" "$work"
python3 "$here/training_test.py"
python3 "$here/train.py" "$work"
python3 "$here/export.py" "$work" "$work/engram-nano.gguf"
python3 "$here/suite.py" "$work/tokenizer.model" "$work"
mv "$work/engram-nano.gguf" "$work/suite.json" "$work/tokens.json" "$here"
