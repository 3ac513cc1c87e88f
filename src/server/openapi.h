// The server's interface as an OpenAPI 3.1 document (GET /openapi.json). A test compares it with the routes. Pure.
#pragma once

#include "chat/bounded_json.h"

namespace engram::server {

OrderedJson openapi_document();

}  // namespace engram::server
