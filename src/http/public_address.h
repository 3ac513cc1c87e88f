// Which addresses are the internet's. A server that posts to addresses which others name must not lead them into networks that
// they can't reach themselves: neither this machine's, nor private ones, nor several hosts at once.
#pragma once

#include <string>

#include "engram/error.h"

struct sockaddr;

namespace engram::http {

bool is_public_address(const sockaddr &address);

// What can be said of a URL without looking up its host's name; what the name stands for is seen when the connection is made
// (FetchRequest::public_only). invalid_argument.
Result<void> check_public_url(const std::string &url);

}  // namespace engram::http
