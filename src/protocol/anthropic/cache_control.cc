#include "protocol/anthropic/cache_control.h"

#include <algorithm>
#include <string>

namespace engram::protocol::anthropic {

ApiResult<void> note_cache_control(const Field &holder, Retention &longest) {
    const Field mark = holder["cache_control"];
    if (!mark.present()) return {};
    ENGRAM_TRY(mark.must_be_object());
    ENGRAM_ASSIGN(const std::string type, mark["type"].text());
    if (type != "ephemeral") return mark["type"].wrong("must be \"ephemeral\"");
    ENGRAM_ASSIGN(const std::string ttl, mark["ttl"].text_or("5m"));
    if (ttl != "5m" && ttl != "1h") return mark["ttl"].wrong("must be \"5m\" or \"1h\"");
    longest = std::max(longest, ttl == "1h" ? Retention::one_hour : Retention::five_minutes);
    return {};
}

}  // namespace engram::protocol::anthropic
