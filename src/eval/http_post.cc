#include "eval/http_post.h"

#include <curl/curl.h>

#include <array>
#include <format>
#include <string_view>
#include <utility>

namespace engram::eval {
namespace {

constexpr long kConnectTimeoutMs = 10'000;

struct Transfer {
    std::string body;
    bool too_large = false;
    const std::stop_token &stop;
};

std::size_t receive(const char *data, std::size_t size, std::size_t count, void *user) {
    auto &transfer = *static_cast<Transfer *>(user);
    const std::size_t bytes = size * count;
    if (bytes > kMaxReplyBytes - transfer.body.size()) {
        transfer.too_large = true;
        return 0;
    }
    transfer.body.append(data, bytes);
    return bytes;
}

int go_on(void *user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Transfer *>(user)->stop.stop_requested() ? 1 : 0;
}

std::string host_of(const std::string &url) {
    const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), &curl_url_cleanup);
    char *part = nullptr;
    std::string host;
    std::string scheme;
    if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
    if (curl_url_get(parsed.get(), CURLUPART_SCHEME, &part, 0) == CURLUE_OK) scheme = part;
    curl_free(std::exchange(part, nullptr));
    if (curl_url_get(parsed.get(), CURLUPART_HOST, &part, 0) == CURLUE_OK) host = part;
    curl_free(part);
    return scheme == "http" || scheme == "https" ? host : std::string();
}

bool is_this_machine(std::string_view host) {
    return host == "localhost" || host.starts_with("127.") || host == "[::1]" || host == "::1";
}

}  // namespace

struct HttpClient::Connection {
    std::string url;
    std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle{nullptr, &curl_easy_cleanup};
    std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers{nullptr, &curl_slist_free_all};
    std::array<char, CURL_ERROR_SIZE> error{};
};

HttpClient::HttpClient(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient &&) noexcept = default;
HttpClient &HttpClient::operator=(HttpClient &&) noexcept = default;

Result<HttpClient> HttpClient::create(const std::string &url, const std::string &api_key, double timeout_s) {
    static const CURLcode kStarted = curl_global_init(CURL_GLOBAL_DEFAULT);
    const std::string host = host_of(url);
    if (host.empty()) {
        return fail(ErrorCode::invalid_argument,
                    std::format("\"{}\" is no address of a server: it looks like http://127.0.0.1:8080/v1", url));
    }
    auto connection = std::make_unique<Connection>();
    connection->url = url;
    connection->handle.reset(kStarted == CURLE_OK ? curl_easy_init() : nullptr);
    CURL *handle = connection->handle.get();
    if (handle == nullptr) return fail(ErrorCode::internal, "libcurl could not be started");
    curl_slist *headers = curl_slist_append(nullptr, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");  // no waiting for a 100 Continue
    if (!api_key.empty()) headers = curl_slist_append(headers, std::format("Authorization: Bearer {}", api_key).c_str());
    connection->headers.reset(headers);
    curl_easy_setopt(handle, CURLOPT_URL, connection->url.c_str());
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(handle, CURLOPT_USERAGENT, std::format("engram/{}", version()).c_str());
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_s * 1000));
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, connection->error.data());
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &receive);
    curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, &go_on);
    curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    if (is_this_machine(host)) curl_easy_setopt(handle, CURLOPT_PROXY, "");  // whatever the environment says
    return HttpClient(std::move(connection));
}

Result<HttpReply> HttpClient::post(const std::string &body, const std::stop_token &stop) {
    CURL *handle = connection_->handle.get();
    Transfer transfer{.body = {}, .stop = stop};
    connection_->error.fill('\0');
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body.data());
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &transfer);
    const CURLcode code = curl_easy_perform(handle);
    if (stop.stop_requested()) return fail(ErrorCode::cancelled, "the evaluation was stopped");
    if (transfer.too_large) {
        return fail(ErrorCode::io, std::format("{} sent more than {} MiB", connection_->url, kMaxReplyBytes >> 20U));
    }
    if (code != CURLE_OK) {
        const std::string_view why = connection_->error.front() == '\0' ? curl_easy_strerror(code) : connection_->error.data();
        return fail(ErrorCode::io, std::format("{} could not be reached: {}", connection_->url, why));
    }
    HttpReply reply{.status = 0, .body = std::move(transfer.body)};
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &reply.status);
    return reply;
}

}  // namespace engram::eval
