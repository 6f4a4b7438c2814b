// Turns exceptions into statuses. It knows no kind of failure but "libtorch said no"; gloo.cpp adds its own.
#pragma once

#include "shim.h"

#include <c10/util/Exception.h>

#include <exception>
#include <string>

namespace cloze {

inline char* copy_message(const char* text) noexcept {
  return strdup(text);
}

inline cloze_status failed(int32_t kind, const char* text) noexcept {
  return {kind, copy_message(text)};
}

// The text of an exception without the C++ backtrace that c10 appends.
inline cloze_status failed(int32_t kind, const std::exception& error) noexcept {
  if (auto* c10_error = dynamic_cast<const c10::Error*>(&error)) {
    return failed(kind, c10_error->what_without_backtrace());
  }
  return failed(kind, error.what());
}

template <class F>
cloze_status guarded(F&& body) noexcept {
  try {
    body();
    return {CLOZE_OK, nullptr};
  } catch (const std::exception& error) {
    return failed(CLOZE_TORCH, error);
  } catch (...) {
    return failed(CLOZE_TORCH, "unknown C++ exception");
  }
}

// For calls whose failure changes nothing any more.
template <class F>
void best_effort(F&& body) noexcept {
  cloze_message_free(guarded(body).message);
}

} // namespace cloze
