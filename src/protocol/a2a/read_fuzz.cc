// Fuzz entry of the readers: any bytes give values that can be written and read again as they are, or an error with a sentence.
// Linked to a fuzzer, or driven by read_test.cc.
#include "core/testing/fuzz.h"
#include "protocol/a2a/method.h"
#include "protocol/a2a/read.h"
#include "protocol/a2a/rpc.h"
#include "protocol/a2a/write.h"

namespace {

using namespace engram;
using namespace engram::protocol::a2a;
using fuzz::require;
using protocol::Field;

template <typename T>
const T *read(const A2aResult<T> &result) {
    if (result) return &*result;
    require(!result.error().message.empty());
    require(rpc_error(result.error(), WireVersion::v1_0)["code"].is_number() && http_error(result.error())["error"].is_object());
    return nullptr;
}

void check(const OrderedJson &json, WireVersion dialect) {
    const Field params(json);
    const auto send = read_send(params, dialect);
    if (const SendRequest *request = read(send)) {
        const OrderedJson again = message_json(request->message, dialect);
        const auto message = read_message(Field(again), dialect);
        require(message && *message == request->message && message->role == Role::user && !message->parts.empty());
    }
    const auto hook = read_new_push_config(params, dialect);
    if (const PushConfig *config = read(hook)) {
        const auto again = read_new_push_config(Field(push_config_json(*config)), dialect);
        require(!config->url.empty() && config->url.find('\n') == std::string::npos);
        static_cast<void>(again);
    }
    const auto name = read_push_config_name(params, dialect);
    if (const PushConfigName *of_task = read(name)) require(!of_task->task_id.empty());
    static_cast<void>(read(read_task_of_push_configs(params, dialect)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char *>(data), size);
    const auto rpc = read_rpc(text, 1UZ << 20U);
    const RpcRequest *request = read(rpc);
    if (request == nullptr) return 0;
    static_cast<void>(read(method_call("", request->method)));
    check(request->params, WireVersion::v1_0);
    check(request->params, WireVersion::v0_3);
    const Field params(request->params);
    const auto query = read_task_query(params);
    if (const TaskQuery *task = read(query)) require(!task->id.empty());
    const auto list = read_list_query(params);
    if (const ListQuery *wanted = read(list)) require(wanted->page_size >= 1 && wanted->page_size <= 100);
    return 0;
}
