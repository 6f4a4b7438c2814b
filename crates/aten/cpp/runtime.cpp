// Switches and facts of the loaded libtorch. It knows no tensors.
#include "guard.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/version.h>

#include <mutex>

void cloze_message_free(char* message) {
  std::free(message);
}

cloze_status cloze_set_deterministic(int32_t on) {
  return cloze::guarded([&] {
    auto& context = at::globalContext();
    context.setDeterministicAlgorithms(on != 0, /*warn_only=*/false);
    context.setDeterministicCuDNN(on != 0);
    // Filling every fresh tensor with NaN finds reads of uninitialised memory, and costs a pass over all memory.
    context.setDeterministicFillUninitializedMemory(false);
  });
}

cloze_status cloze_set_interop_threads(int32_t n) {
  return cloze::guarded([&] {
    // libtorch allows a single call per process; asking again for what is already there is no fault.
    static std::mutex one_at_a_time;
    const std::lock_guard<std::mutex> lock(one_at_a_time);
    if (at::get_num_interop_threads() != static_cast<size_t>(n)) {
      at::set_num_interop_threads(n);
    }
  });
}

char* cloze_cpu_capability() {
  try {
    return cloze::copy_message(at::get_cpu_capability().c_str());
  } catch (...) {
    return nullptr;
  }
}

char* cloze_version() {
  try {
    // The library that is loaded, not the headers compiled against: its own description names it.
    const std::string config = at::show_config();
    const std::string name = "TORCH_VERSION=";
    const auto found = config.find(name);
    if (found == std::string::npos) {
      return cloze::copy_message(TORCH_VERSION);
    }
    const auto begin = found + name.size();
    return cloze::copy_message(config.substr(begin, config.find_first_of(", \n", begin) - begin).c_str());
  } catch (...) {
    return nullptr;
  }
}
