#include "engine/system_info.h"

#include <ggml-backend.h>
#include <llama.h>

#include <thread>

#include "engine/backend.h"
#include "engine/huge_pages.h"

namespace engram {
namespace {

const char *kind_name(enum ggml_backend_dev_type type) {
    switch (type) {
        case GGML_BACKEND_DEVICE_TYPE_CPU: return "cpu";
        case GGML_BACKEND_DEVICE_TYPE_GPU: return "gpu";
        case GGML_BACKEND_DEVICE_TYPE_IGPU: return "integrated gpu";
        case GGML_BACKEND_DEVICE_TYPE_ACCEL: return "accelerator";
        case GGML_BACKEND_DEVICE_TYPE_META: return "meta";
    }
    return "unknown";
}

std::string text_or_empty(const char *text) { return text == nullptr ? "" : text; }

std::vector<std::pair<std::string, std::string>> features_of(ggml_backend_reg_t backend) {
    std::vector<std::pair<std::string, std::string>> features;
    auto get =
        reinterpret_cast<ggml_backend_get_features_t>(ggml_backend_reg_get_proc_address(backend, "ggml_backend_get_features"));
    if (get != nullptr) {
        for (const ggml_backend_feature *feature = get(backend); feature->name != nullptr; ++feature) {
            features.emplace_back(feature->name, text_or_empty(feature->value));
        }
    }
    return features;
}

}  // namespace

SystemInfo system_info() {
    initialise_engine();
    SystemInfo info;
    info.llama_version = text_or_empty(llama_version());
    info.ggml_version = text_or_empty(ggml_version());
    info.ggml_commit = text_or_empty(ggml_commit());
    info.gpu_offload = llama_supports_gpu_offload();
    info.processors = std::thread::hardware_concurrency();
    info.huge_pages = huge_page_mode();
    for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        ggml_backend_reg_t backend = ggml_backend_dev_backend_reg(device);
        std::size_t free = 0;
        std::size_t total = 0;
        ggml_backend_dev_memory(device, &free, &total);
        info.devices.push_back({.name = text_or_empty(ggml_backend_dev_name(device)),
                                .description = text_or_empty(ggml_backend_dev_description(device)),
                                .kind = kind_name(ggml_backend_dev_type(device)),
                                .backend = backend == nullptr ? "" : text_or_empty(ggml_backend_reg_name(backend)),
                                .memory_free = free,
                                .memory_total = total});
        if (backend != nullptr && ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU) {
            info.cpu_features = features_of(backend);
        }
    }
    return info;
}

}  // namespace engram
