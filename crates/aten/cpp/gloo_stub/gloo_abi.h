// The few Gloo types that ProcessGroupGloo.hpp names. libtorch contains Gloo but does not ship its headers.
//
// Only shared_ptrs to these types live inside ProcessGroupGloo, so their sizes do not matter. What must agree with
// Gloo is: the names (they are mangled into symbols), the order of the Store's virtual functions, the chain of
// exception classes (they are caught by type), and the signatures of the functions that gloo.cpp calls.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#define GLOO_STORE_HAS_STORE_V2 1

namespace gloo {

struct Exception : public std::runtime_error {
  explicit Exception(const std::string& message) : std::runtime_error(message) {}
};

// A connection is broken, or an operation ran out of time.
struct IoException : public Exception {
  explicit IoException(const std::string& message) : Exception(message) {}
};

class IStore {
 public:
  virtual ~IStore() = default;
  virtual void set(const std::string& key, const std::vector<char>& data) = 0;
  virtual std::vector<char> get(const std::string& key) = 0;
  virtual std::vector<char> wait_get(const std::string& key, const std::chrono::milliseconds& timeout) {
    wait({key}, timeout);
    return get(key);
  }
  virtual void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) = 0;
  virtual bool has_v2_support() = 0;
  virtual std::vector<std::vector<char>> multi_get(const std::vector<std::string>& keys) = 0;
  virtual void multi_set(const std::vector<std::string>& keys, const std::vector<std::vector<char>>& values) = 0;
  virtual void append(const std::string& key, const std::vector<char>& value) = 0;
  virtual int64_t add(const std::string& key, int64_t value) = 0;
};

namespace transport {

class Device;
class Pair;

class UnboundBuffer {
 public:
  virtual ~UnboundBuffer();
};

namespace tcp {

// One connection. Gloo itself casts transport::Pair to this where it signals all pairs of a context.
class Pair {
 public:
  // Fails everything that waits on this connection, locally, and closes it.
  std::exception_ptr signalExceptionExternal(const std::string& message);
};

} // namespace tcp
} // namespace transport

class Context {
 public:
  std::unique_ptr<transport::Pair>& getPair(int rank);
  void setTimeout(std::chrono::milliseconds timeout);
};

namespace rendezvous {

class Store : public IStore {
 public:
  using IStore::wait;
  virtual void wait(const std::vector<std::string>& keys) = 0;
  void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds&) override {
    wait(keys);
  }
};

} // namespace rendezvous
} // namespace gloo
