// What the engine runs on, for `engram doctor`: versions, devices, and what the processor backend was built for.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace engram {

struct DeviceInfo {
    std::string name;                                 // "CPU", "Vulkan0"
    std::string description;                          // "NVIDIA H200"
    std::string kind;                                 // "cpu", "gpu", "integrated gpu", "accelerator", "meta"
    std::string backend;                              // "CPU", "CUDA", "Vulkan"
    std::uint64_t memory_free = 0, memory_total = 0;  // bytes; 0: not known
};

struct SystemInfo {
    std::string llama_version, ggml_version, ggml_commit;
    std::vector<DeviceInfo> devices;
    std::vector<std::pair<std::string, std::string>> cpu_features;  // ggml's names and values: {"AVX512", "1"}
    bool gpu_offload = false;
    std::uint32_t processors = 0;  // logical ones
    std::string huge_pages;        // huge_page_mode()
};

// Loads the backends when that hasn't been done. Any thread.
SystemInfo system_info();

}  // namespace engram
