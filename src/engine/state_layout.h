// Reads and writes libllama's serialised sequence state (llama_state_seq_get_data of libllama 0.7).
//
// A state is a head (empty in some versions), then one section for each memory of the context: attention first, then the
// sliding-window or the recurrent one. An attention-like section is
//
//     u32 streams (1)    u32 cells
//     for each cell:     i32 position   u32 sequence count (1)   [ext bytes]   i32 sequence id (ignored when read)
//     u32 transposed V (0)   u32 layers   [further settings: the same for every state of a context]
//     for each layer:    i32 ggml type of K   u64 bytes of a row   cells rows
//     for each layer:    the same for V (layers without V are left out)
//
// and ends after the two counts when there are no cells. The shape (ext bytes, settings, layers, types, row sizes) is learned
// from a state of the loaded model and everything read later must have it exactly. All numbers are little-endian. Pure: no
// libllama calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/kv_part.h"
#include "engram/error.h"

namespace engram {

struct StateRows {
    std::int32_t ggml_type = 0;
    std::uint64_t row_bytes = 0;
};

struct StateShape {
    std::size_t ext_bytes = 0;  // per cell, beyond position, count and sequence id
    std::uint32_t layers = 0;
    std::vector<std::byte> settings;  // bytes between the layer count and the first layer
    std::vector<StateRows> keys, values;

    std::size_t section_bytes(std::uint32_t cells) const;
    // Where the rows of tensor i begin (keys first, then values) in a section of `cells` cells.
    std::vector<std::size_t> row_offsets(std::uint32_t cells) const;
};

// Learns the shape from a section that has cells. unsupported: not this layout (the message says what differed).
Result<StateShape> learn_section(std::span<const std::byte> section);

// Positions of the cells, in the section's order. corrupt: the bytes don't have this shape.
Result<std::vector<Position>> read_cell_positions(const StateShape &shape, std::span<const std::byte> section);

// Writes everything but the rows: positions first, first+1, … The span must have section_bytes(cells) bytes.
void write_section_frame(const StateShape &shape, Position first, std::uint32_t cells, std::span<std::byte> section);

}  // namespace engram
