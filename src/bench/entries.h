// The entries of the table of benchmarks: each is one file, bench_NAME.cc.
#pragma once

#include "bench/benchmark.h"

namespace engram::bench {

std::vector<std::string> one_variant(const Lab &lab);  // of those that have only one

std::vector<std::string> resume_variants(const Lab &lab);
Result<void> run_resume(const Lab &lab, const std::string &variant, Record &record);
std::vector<std::string> library_variants(const Lab &lab);
Result<void> run_library(const Lab &lab, const std::string &variant, Record &record);
std::vector<std::string> save_variants(const Lab &lab);
Result<void> run_save(const Lab &lab, const std::string &variant, Record &record);
Result<void> run_sessions(const Lab &lab, const std::string &variant, Record &record);
Result<void> run_fanout(const Lab &lab, const std::string &variant, Record &record);
Result<void> run_throughput(const Lab &lab, const std::string &variant, Record &record);
Result<void> run_replay(const Lab &lab, const std::string &variant, Record &record);
Result<void> run_interference(const Lab &lab, const std::string &variant, Record &record);
Result<void> run_scale(const Lab &lab, const std::string &variant, Record &record);
Result<void> run_lossy(const Lab &lab, const std::string &variant, Record &record);
Result<void> run_http(const Lab &lab, const std::string &variant, Record &record);

}  // namespace engram::bench
