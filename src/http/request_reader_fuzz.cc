// Fuzz entry of the reader of requests: within its limits, and the same requests however the bytes are cut; otherwise somebody in
// front of the server could see other requests than the server does.
#include "core/testing/fuzz.h"
#include "http/request_reader.h"

namespace {

using namespace engram::http;
using engram::fuzz::require;

constexpr std::size_t kHeaderBytes = 512, kBodyBytes = 256;

struct Taken {
    std::vector<HttpRequest> requests;
    bool refused = false;
};

// As a connection does it: what wasn't used is given again, with more behind it.
Taken read(const std::vector<std::string_view> &pieces) {
    Taken taken;
    RequestReader reader(kHeaderBytes, kBodyBytes);
    std::string in;
    for (const std::string_view piece : pieces) {
        in += piece;
        while (!in.empty()) {
            const RequestReader::Fed fed = reader.feed(in);
            require(fed.used <= in.size());
            in.erase(0, fed.used);
            static_cast<void>(reader.wants_continue());
            if (fed.step == RequestReader::Step::more) break;
            if (fed.step == RequestReader::Step::refused) {
                require(!reader.refusal().message.empty() && reader.refusal().status >= 400);
                static_cast<void>(reader.take());
                taken.refused = true;
                return taken;
            }
            taken.requests.push_back(reader.take());
        }
    }
    return taken;
}

void check(const HttpRequest &request) {
    require(!request.method.empty() && request.body.size() <= kBodyBytes);
    require(request.path == "*" || request.path.starts_with('/'));
    std::size_t header_bytes = request.method.size() + request.path.size();
    for (const auto &[name, value] : request.headers) {
        header_bytes += name.size() + value.size();
        require(!name.empty() && (name + value).find_first_of("\r\n") == std::string::npos);
    }
    require(header_bytes <= 2 * kHeaderBytes);  // a chunked body may have trailers
    for (const auto &[name, value] : request.query) require((name + value).find('\0') == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const std::string_view text = engram::fuzz::text_of(data, size);
    const Taken whole = read({text}), cut = read(engram::fuzz::pieces_of(text));
    require(whole.requests.size() == cut.requests.size() && whole.refused == cut.refused);
    for (std::size_t i = 0; i < whole.requests.size(); ++i) {
        const HttpRequest &a = whole.requests[i], &b = cut.requests[i];
        check(a);
        require(a.method == b.method && a.path == b.path && a.query == b.query && a.headers == b.headers && a.body == b.body);
    }
    return 0;
}
