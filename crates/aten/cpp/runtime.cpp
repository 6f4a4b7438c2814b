// Switches and facts of the loaded libtorch. It knows no tensors.
#include "guard.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/version.h>

#include <mutex>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

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

void cloze_keep_freed_memory() {
#if defined(__GLIBC__)
  // Tensors as large as activations would each be mapped and given back: the kernel clears their pages every time.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
  // One heap: others are too small for such tensors.
  mallopt(M_ARENA_MAX, 1);
#endif
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
