#!/usr/bin/env bash
# Makes engram-nano.gguf and suite.json from nothing: vocabulary, training, export, evaluation. Run it through `make model`.
#
#   make.sh WORK_FOLDER      keeps what is in between (vocabulary, checkpoint, log); goes on where it was interrupted
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$1
mkdir -p "$work"
export OMP_WAIT_POLICY=passive PYTHONDONTWRITEBYTECODE=1
[ -e "$work/tokenizer.model" ] || python3 "$here/tokenizer.py" "$work"
python3 "$here/train.py" "$work"
python3 "$here/export.py" "$work" "$work/engram-nano.gguf"
python3 "$here/suite.py" "$work/tokenizer.model" "$work/suite.json"
mv "$work/engram-nano.gguf" "$work/suite.json" "$here"
