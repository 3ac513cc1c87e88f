// A rate limit on tokens whose number is known only afterwards. Pure; not thread-safe.
//
// The bucket holds a minute's tokens, begins full, and fills evenly. A request may begin when at least one token is in it. What
// it computes is taken out as it is computed, below zero if need be: nothing that has begun is cut off, and the next request
// waits until the debt is paid. So the tokens of any stretch of time are at most what the bucket held, what it was filled with,
// and what the requests took that were under way when it ran empty; on average the limit is kept exactly.
#pragma once

#include <cstdint>

namespace engram {

class TokenBucket {
  public:
    // Microseconds until a request may begin, 0: now. `now_us` never goes back. `limit`: tokens per minute, from 1 to
    // kMaxTokensPerMinute; when it is lowered or raised, what is owed stays owed.
    std::int64_t wait_us(std::uint64_t limit, std::int64_t now_us);
    void spend(std::uint64_t tokens);

  private:
    // In tokens times microseconds of a minute, so that a microsecond's share is a whole number (the limit).
    std::int64_t level_ = 0;
    std::int64_t filled_us_ = 0;  // when the level was last brought up to date
    bool used_ = false;           // before the first request the bucket is full, whatever the limit
};

}  // namespace engram
