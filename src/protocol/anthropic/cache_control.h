// cache_control: a client's mark that what was read up to here is worth keeping.
//
// Engram keeps every prefix anyway and needs no breakpoints, so that only the time to live of such a mark counts: the longest one
// of a request is its Retention. Pure.
#pragma once

#include "engram/chat.h"
#include "protocol/field.h"

namespace engram::protocol::anthropic {

// Reads the member cache_control of `holder` (the body, a tool, a block), if it has one, and raises `longest` to what it asks
// for: five_minutes, which is the default, or one_hour. invalid_request.
ApiResult<void> note_cache_control(const Field &holder, Retention &longest);

}  // namespace engram::protocol::anthropic
