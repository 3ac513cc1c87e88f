"""Writes the trained network as a GGUF file.

usage: export.py FOLDER OUT_FILE [--type q8_0|f16|f32]      FOLDER holds tokenizer.model and checkpoint.pt
"""
import argparse
from pathlib import Path

import gguf
import sentencepiece
import torch

from model import Shape, rope_scale
from tokenizer import CONTROL, VISIBLE

TYPES = {"q8_0": gguf.GGMLQuantizationType.Q8_0, "f16": gguf.GGMLQuantizationType.F16, "f32": gguf.GGMLQuantizationType.F32}
FILE_TYPES = {"q8_0": gguf.LlamaFileType.MOSTLY_Q8_0, "f16": gguf.LlamaFileType.MOSTLY_F16, "f32": gguf.LlamaFileType.ALL_F32}


def write_vocabulary(writer, tokenizer):
    pieces = [tokenizer.id_to_piece(i) for i in range(len(tokenizer))]

    def kind(i):
        if tokenizer.is_unknown(i):
            return gguf.TokenType.UNKNOWN
        if tokenizer.is_byte(i):
            return gguf.TokenType.BYTE
        if pieces[i] in CONTROL:
            return gguf.TokenType.CONTROL
        return gguf.TokenType.USER_DEFINED if pieces[i] in VISIBLE else gguf.TokenType.NORMAL

    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([piece.encode() for piece in pieces])
    writer.add_token_scores([tokenizer.get_score(i) for i in range(len(pieces))])
    writer.add_token_types([kind(i) for i in range(len(pieces))])
    end = tokenizer.piece_to_id("<|im_end|>")
    writer.add_eos_token_id(end)
    writer.add_eot_token_id(end)
    writer.add_unk_token_id(tokenizer.unk_id())
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template((Path(__file__).parent / "chat_template.jinja").read_text())


def write_shape(writer, shape):
    writer.add_name("engram-nano")
    writer.add_description("A demonstration and test model that remembers what it is told. Trained from scratch on generated conversations.")
    writer.add_license("mit")
    writer.add_vocab_size(shape.n_vocab)
    writer.add_context_length(shape.n_context)
    writer.add_block_count(shape.n_layer)
    writer.add_embedding_length(shape.n_embd)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_head_count(shape.n_head)
    writer.add_head_count_kv(shape.n_head_kv)
    writer.add_key_length(shape.n_head_dim)
    writer.add_value_length(shape.n_head_dim)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(shape.rope_slowed)
    writer.add_rope_scaling_orig_ctx_len(shape.rope_original_context)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--type", choices=TYPES, default="q8_0")
    options = arguments.parse_args()
    state = torch.load(options.folder / "checkpoint.pt")
    writer = gguf.GGUFWriter(options.out, "qwen3")
    shape = Shape(**state["shape"])
    write_shape(writer, shape)
    writer.add_file_type(FILE_TYPES[options.type])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    write_vocabulary(writer, sentencepiece.SentencePieceProcessor(model_file=str(options.folder / "tokenizer.model")))
    for name, tensor in state["model"].items():
        values = tensor.float().numpy()
        if name.endswith(("attn_q_norm.weight", "attn_k_norm.weight")):
            values = values / rope_scale(shape)  # which libllama's YaRN multiplies by
        kind = TYPES[options.type] if values.ndim == 2 else TYPES["f32"]
        writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
