// TLS, with libcurl as the client.
#include <curl/curl.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <format>
#include <fstream>
#include <future>

#include "http/server.h"
#include "http/testing/client.h"
#include "http/testing/test_server.h"

namespace engram::http {
namespace {

std::size_t append(const char *data, std::size_t size, std::size_t count, void *text) {
    static_cast<std::string *>(text)->append(data, size * count);
    return size * count;
}

class HttpTlsTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        for (const std::string name : {"one", "two"}) {
            const std::string command = std::format(
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
                "-addext subjectAltName=IP:127.0.0.1 -keyout {} -out {} >{} 2>&1",
                file(name + ".key"), file(name + ".pem"), file("openssl.log"));
            ASSERT_EQ(std::system(command.c_str()), 0) << command;
        }
    }

    static std::string file(const std::string &name) {
        static const std::string kFolder = [] {
            std::string made = testing::TempDir() + "engram-tls-XXXXXX";
            EXPECT_NE(mkdtemp(made.data()), nullptr);
            return made;
        }();
        return kFolder + "/" + name;
    }
    static void TearDownTestSuite() { std::filesystem::remove_all(file("").substr(0, file("").size() - 1)); }

    static std::unique_ptr<HttpServer> start(std::vector<HttpRoute> routes) {
        HttpServerOptions options;
        options.tls = {.certificate_file = file("one.pem"), .key_file = file("one.key")};
        return start_server(std::move(routes), std::move(options));
    }

    // One transfer with the certificate checked.
    static CURLcode get(CURL *handle, const std::string &url, std::string &body, const std::string &authority) {
        curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
        curl_easy_setopt(handle, CURLOPT_CAINFO, authority.c_str());
        curl_easy_setopt(handle, CURLOPT_PROXY, "");
        curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &append);
        curl_easy_setopt(handle, CURLOPT_WRITEDATA, &body);
        curl_easy_setopt(handle, CURLOPT_TIMEOUT, static_cast<long>(kPatience.count()));
        return curl_easy_perform(handle);
    }
};

using Handle = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;

TEST_F(HttpTlsTest, AnswersWholeAndStreamedOnOneConnection) {
    std::string long_text;
    for (int i = 0; long_text.size() < 500'000; i++) long_text += std::format("{} ", i);
    const auto server = start({make_route("GET", "/whole", answer_with(long_text)),
                               make_route("GET", "/s", [&](const HttpRequest &, HttpResponder &responder) -> Result<void> {
                                   responder.start(200, {});
                                   for (std::size_t at = 0; at < long_text.size(); at += 1000) {
                                       responder.write(std::string_view(long_text).substr(at, 1000));
                                   }
                                   responder.end();
                                   return {};
                               })});
    EXPECT_EQ(server->address(), std::format("https://127.0.0.1:{}", server->port()));
    const Handle handle(curl_easy_init(), &curl_easy_cleanup);
    for (const char *path : {"/whole", "/s", "/whole"}) {
        std::string body;
        ASSERT_EQ(get(handle.get(), server->address() + path, body, file("one.pem")), CURLE_OK) << path;
        EXPECT_TRUE(body == long_text) << path;
    }
    EXPECT_EQ(server->counts().connections, 1);
}

TEST_F(HttpTlsTest, ItIsTheCertificateThatWasGiven) {
    const auto server = start({make_route("GET", "/a", answer_with("fine"))});
    const Handle handle(curl_easy_init(), &curl_easy_cleanup);
    std::string body;
    EXPECT_EQ(get(handle.get(), server->address() + "/a", body, file("two.pem")), CURLE_PEER_FAILED_VERIFICATION);
    EXPECT_EQ(body, "");
}

TEST_F(HttpTlsTest, AHandlerHearsThatItsClientHasGone) {
    std::promise<bool> stopped;
    const auto server = start({make_route("GET", "/s", [&](const HttpRequest &request, HttpResponder &responder) -> Result<void> {
        responder.start(200, {});
        responder.write("begun");
        stopped.set_value(eventually([&] { return request.stop.stop_requested(); }));
        return {};
    })});
    const Handle handle(curl_easy_init(), &curl_easy_cleanup);
    // Refuses what it is given, and so ends the transfer.
    const auto refuse = +[](const char *, std::size_t, std::size_t, void *) -> std::size_t { return 0; };
    curl_easy_setopt(handle.get(), CURLOPT_URL, (server->address() + "/s").c_str());
    curl_easy_setopt(handle.get(), CURLOPT_CAINFO, file("one.pem").c_str());
    curl_easy_setopt(handle.get(), CURLOPT_PROXY, "");
    curl_easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, refuse);
    EXPECT_EQ(curl_easy_perform(handle.get()), CURLE_WRITE_ERROR);
    EXPECT_TRUE(stopped.get_future().get());
}

TEST_F(HttpTlsTest, WhoSpeaksNoTlsIsLeft) {
    const auto server = start({make_route("GET", "/a", answer_with("fine"))});
    TestClient client(server->port());
    EXPECT_FALSE(client.ask("GET", "/a"));
    const Handle handle(curl_easy_init(), &curl_easy_cleanup);
    std::string body;
    EXPECT_EQ(get(handle.get(), server->address() + "/a", body, file("one.pem")), CURLE_OK);
    EXPECT_EQ(body, "fine");
}

TEST_F(HttpTlsTest, SaysWhichFileCantBeUsed) {
    const auto error = [](const std::string &certificate, const std::string &key) {
        HttpServerOptions options;
        options.tls = {.certificate_file = certificate, .key_file = key};
        const auto server = HttpServer::start(std::move(options));
        return server ? Error{} : server.error();
    };
    EXPECT_EQ(error(file("none.pem"), file("one.key")).code, ErrorCode::not_found);
    EXPECT_NE(error(file("none.pem"), file("one.key")).message.find("none.pem"), std::string::npos);
    EXPECT_EQ(error(file("one.pem"), file("none.key")).code, ErrorCode::not_found);
    EXPECT_EQ(error(file("one.pem"), file("two.key")).code, ErrorCode::invalid_argument);
    std::ofstream(file("text")) << "no certificate";
    EXPECT_EQ(error(file("text"), file("one.key")).code, ErrorCode::invalid_argument);
    EXPECT_EQ(error(file("one.pem"), file("text")).code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace engram::http
