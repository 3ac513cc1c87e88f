#include "http/fetch.h"

#include <curl/curl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <format>
#include <utility>

#include "http/public_address.h"
#include "http/url.h"

namespace engram::http {
namespace {

constexpr long kConnectTimeoutMs = 10'000;
constexpr std::size_t kMaxHeaderBytes = 256UZ << 10U;

struct Transfer {
    CURL *handle = nullptr;
    const FetchRequest &request;
    const Fetcher::OnBody &on_body;
    const std::stop_token &stop;
    FetchReply reply = {};
    std::size_t header_bytes = 0, body_bytes = 0;
    bool too_large = false, enough = false, refused = false;
};

std::string in_small_letters(std::string_view text) {
    std::string small(text);
    std::ranges::transform(small, small.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return small;
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kSpace = " \t\r\n";
    const std::size_t first = text.find_first_not_of(kSpace);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::size_t take_header(const char *data, std::size_t size, std::size_t count, void *user) {
    auto &transfer = *static_cast<Transfer *>(user);
    const std::string_view line(data, size * count);
    transfer.header_bytes += line.size();
    if (transfer.header_bytes > kMaxHeaderBytes) {
        transfer.too_large = true;
        return 0;
    }
    const std::size_t colon = line.find(':');
    if (line.starts_with("HTTP/")) {
        transfer.reply.headers.clear();  // a 100 or a proxy's answer came before
    } else if (colon != std::string_view::npos) {
        transfer.reply.headers.emplace_back(in_small_letters(trimmed(line.substr(0, colon))), trimmed(line.substr(colon + 1)));
    }
    return line.size();
}

std::size_t take_body(const char *data, std::size_t size, std::size_t count, void *user) {
    auto &transfer = *static_cast<Transfer *>(user);
    const std::string_view piece(data, size * count);
    transfer.body_bytes += piece.size();
    if (transfer.body_bytes > transfer.request.max_reply_bytes) {
        transfer.too_large = true;
        return 0;
    }
    if (!transfer.on_body) {
        transfer.reply.body.append(piece);
        return piece.size();
    }
    curl_easy_getinfo(transfer.handle, CURLINFO_RESPONSE_CODE, &transfer.reply.status);
    transfer.enough = !transfer.on_body(transfer.reply, piece);
    return transfer.enough ? 0 : piece.size();
}

int go_on(void *user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Transfer *>(user)->stop.stop_requested() ? 1 : 0;
}

bool is_this_machine(std::string_view host) {
    return host == "localhost" || host.starts_with("127.") || host == "[::1]" || host == "::1";
}

curl_socket_t open_socket(void *user, curlsocktype, curl_sockaddr *address) {
    auto &transfer = *static_cast<Transfer *>(user);
    transfer.refused = transfer.request.public_only && !is_public_address(address->addr);
    if (transfer.refused) return CURL_SOCKET_BAD;
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

using HeaderList = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

HeaderList header_list(const HttpFields &headers) {
    curl_slist *list = curl_slist_append(nullptr, "Expect:");  // no waiting for a 100 Continue
    for (const auto &[name, value] : headers) {
        const std::string line = value.empty() ? name + ";" : std::format("{}: {}", name, value);
        // What would be a header of its own stays away.
        if (line.find_first_of("\r\n") == std::string::npos) list = curl_slist_append(list, line.c_str());
    }
    return {list, &curl_slist_free_all};
}

void set_options(CURL *curl, const FetchRequest &request, Transfer &transfer) {
    curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    if (!request.body.empty() || request.method == "POST") {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
    }
    curl_easy_setopt(curl, CURLOPT_USERAGENT, std::format("engram/{}", version()).c_str());
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &go_on);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, &open_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &transfer);
    // Whatever the environment says.
    if (request.public_only || is_this_machine(parse_url(request.url).host)) curl_easy_setopt(curl, CURLOPT_PROXY, "");
}

}  // namespace

std::string_view FetchReply::header(std::string_view name) const {
    const auto found = std::ranges::find(headers, name, &HttpFields::value_type::first);
    return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

Result<void> check_url(const std::string &url) {
    if (!parse_url(url).host.empty()) return {};
    return fail(ErrorCode::invalid_argument,
                std::format("\"{}\" is no address of a server: it looks like http://127.0.0.1:8080/v1", url));
}

struct Fetcher::Handle {
    std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl{nullptr, &curl_easy_cleanup};
    std::array<char, CURL_ERROR_SIZE> error{};
};

Fetcher::Fetcher(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {}
Fetcher::~Fetcher() = default;
Fetcher::Fetcher(Fetcher &&) noexcept = default;
Fetcher &Fetcher::operator=(Fetcher &&) noexcept = default;

Result<Fetcher> Fetcher::create() {
    static const CURLcode kStarted = curl_global_init(CURL_GLOBAL_DEFAULT);
    auto handle = std::make_unique<Handle>();
    handle->curl.reset(kStarted == CURLE_OK ? curl_easy_init() : nullptr);
    if (!handle->curl) return fail(ErrorCode::internal, "libcurl could not be started");
    return Fetcher(std::move(handle));
}

Result<FetchReply> Fetcher::send(const FetchRequest &request, const std::stop_token &stop, const OnBody &on_body) {
    ENGRAM_TRY(check_url(request.url));
    if (request.public_only) ENGRAM_TRY(check_public_url(request.url));
    CURL *curl = handle_->curl.get();
    Transfer transfer{.handle = curl, .request = request, .on_body = on_body, .stop = stop};
    handle_->error.fill('\0');
    curl_easy_reset(curl);
    const HeaderList headers = header_list(request.headers);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, handle_->error.data());
    set_options(curl, request, transfer);
    const CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &transfer.reply.status);
    if (transfer.enough) return std::move(transfer.reply);
    if (stop.stop_requested()) return fail(ErrorCode::cancelled, std::format("the request to {} was stopped", request.url));
    if (transfer.refused && code != CURLE_OK) {
        return fail(
            ErrorCode::invalid_argument,
            std::format("\"{}\" leads to this machine or to a private network, which may not be reached from here", request.url));
    }
    if (transfer.too_large) {
        return fail(ErrorCode::io, std::format("{} sent more than {} MiB", request.url, request.max_reply_bytes >> 20U));
    }
    if (code != CURLE_OK) {
        const std::string_view why = handle_->error.front() == '\0' ? curl_easy_strerror(code) : handle_->error.data();
        return fail(ErrorCode::io, std::format("{} could not be reached: {}", request.url, why));
    }
    return std::move(transfer.reply);
}

}  // namespace engram::http
