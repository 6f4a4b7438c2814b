// Operators of layers with their gradients, where libtorch's own are slower or do not exist. They know tensors on a
// CPU; what lies elsewhere goes through libtorch's operators. Nothing here can be differentiated twice.
#include "layers.h"

#include "guard.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

using LinearPointwise = Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&, std::string_view,
                               c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);

// MKL leaves AVX-512 to the processors of its maker. On others oneDNN's products of floats were twice as fast.
bool mkl_holds_back() {
#if defined(__x86_64__)
  unsigned int level = 0, name[3] = {};
  if (__get_cpuid(0, &level, &name[0], &name[2], &name[1]) == 0) {
    return false;
  }
  const std::string_view vendor(reinterpret_cast<const char*>(name), sizeof name);
  return vendor != "GenuineIntel" && at::get_cpu_capability() == "AVX512";
#else
  return false;
#endif
}

// oneDNN's x Wᵀ + b for tensors of the ordinary layout; null where libtorch has none, or where its own is as good.
const c10::TypedOperatorHandle<LinearPointwise>* onednn() {
  static const auto op = []() -> std::optional<c10::TypedOperatorHandle<LinearPointwise>> {
    auto found = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    if (!mkl_holds_back() || !found.has_value() || !found->hasKernelForDispatchKey(c10::DispatchKey::CPU)) {
      return std::nullopt;
    }
    return found->typed<LinearPointwise>();
  }();
  return op.has_value() ? &*op : nullptr;
}

Tensor product(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  return onednn()->call(x, weight, bias, "none", c10::List<std::optional<at::Scalar>>(), "");
}

class Linear : public Function<Linear> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& bias) {
    context->save_for_backward({x, weight});
    context->saved_data["bias"] = bias.has_value();
    return product(x, weight, bias);
  }

  // Products of bfloat16 are oneDNN's either way.
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Tensor gradient = gradients[0].contiguous();
    const bool floats = gradient.scalar_type() == at::kFloat;
    variable_list out(3);
    if (context->needs_input_grad(0)) {
      out[0] = floats ? product(gradient, saved[1].t(), std::nullopt) : at::mm(gradient, saved[1]);
    }
    if (context->needs_input_grad(1)) {
      out[1] = floats ? product(gradient.t(), saved[0].t(), std::nullopt) : at::mm(gradient.t(), saved[0]);
    }
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) {
      out[2] = gradient.sum(0);
    }
    return out;
  }
};

// Calls `body` with a null pointer of the type that the elements have in memory.
template <class Body>
void by_type(const Tensor& tensor, const Body& body) {
  if (tensor.scalar_type() == at::kFloat) {
    body(static_cast<float*>(nullptr));
  } else {
    TORCH_CHECK(tensor.scalar_type() == at::kBFloat16, "Float or BFloat16 is wanted, not ", tensor.scalar_type());
    body(static_cast<uint16_t*>(nullptr));
  }
}

template <class T>
T* memory(const Tensor& tensor, T*) {
  return static_cast<T*>(tensor.data_ptr());
}

bool on_cpu(const Tensor& tensor) {
  return tensor.device().is_cpu() && tensor.layout() == at::kStrided;
}

cloze::Drops drops(AutogradContext* context) {
  return {static_cast<uint64_t>(context->saved_data["seed"].toInt()),
          static_cast<uint32_t>(context->saved_data["threshold"].toInt())};
}

void keep(AutogradContext* context, const cloze::Drops& drops) {
  context->saved_data["seed"] = static_cast<int64_t>(drops.seed);
  context->saved_data["threshold"] = static_cast<int64_t>(drops.threshold);
}

Tensor dropped(const Tensor& x, const std::optional<Tensor>& residual, const cloze::Drops& drops) {
  const Tensor from = x.contiguous();
  const Tensor base = residual.has_value() ? residual->contiguous() : Tensor();
  Tensor out = at::empty_like(from);
  by_type(from, [&](auto* type) {
    const auto* added = base.defined() ? memory(base, type) : nullptr;
    cloze::drop(memory(from, type), added, memory(out, type), from.numel(), drops);
  });
  return out;
}

class Dropout : public Function<Dropout> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const std::optional<Tensor>& residual,
                        const cloze::Drops& drops) {
    keep(context, drops);
    context->saved_data["residual"] = residual.has_value();
    return dropped(x, residual, drops);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    variable_list out(3);
    if (context->needs_input_grad(0)) {
      out[0] = dropped(gradients[0], std::nullopt, drops(context));
    }
    if (context->saved_data["residual"].toBool()) {
      out[1] = gradients[0];
    }
    return out;
  }
};

class AttentionWeights : public Function<AttentionWeights> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& scores, const std::optional<Tensor>& mask,
                        double scale, const cloze::Drops& drops) {
    const Tensor from = scores.contiguous();
    Tensor probabilities = at::empty_like(from);
    Tensor out = drops.threshold == 0 ? probabilities : at::empty_like(from);
    const Tensor added = mask.has_value() ? mask->contiguous() : Tensor();
    by_type(from, [&](auto* type) {
      auto* second = drops.threshold == 0 ? nullptr : memory(out, type);
      cloze::attention_weights(memory(from, type), added.defined() ? added.data_ptr<float>() : nullptr,
                               memory(probabilities, type), second,
                               shape(from, added.defined() ? added.size(0) : 1), static_cast<float>(scale), drops);
    });
    keep(context, drops);
    context->saved_data["scale"] = scale;
    context->save_for_backward({probabilities});
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const Tensor probabilities = context->get_saved_variables()[0];
    const Tensor gradient = gradients[0].contiguous();
    Tensor out = at::empty_like(probabilities);
    by_type(out, [&](auto* type) {
      cloze::attention_weights_backward(memory(gradient, type), memory(probabilities, type), memory(out, type),
                                        shape(out, 1), static_cast<float>(context->saved_data["scale"].toDouble()),
                                        drops(context));
    });
    return {out, Tensor(), Tensor(), Tensor()};
  }

 private:
  static cloze::Scores shape(const Tensor& scores, int64_t sequences) {
    const int64_t len = scores.size(-1);
    const int64_t rows = len == 0 ? 0 : scores.numel() / len;
    return {rows, len, std::max<int64_t>(rows / std::max<int64_t>(sequences, 1), 1)};
  }
};

class GeluTanh : public Function<GeluTanh> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x) {
    const Tensor from = x.contiguous();
    Tensor out = at::empty_like(from);
    by_type(from, [&](auto* type) { cloze::gelu_tanh(memory(from, type), memory(out, type), from.numel()); });
    context->save_for_backward({from});
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const Tensor x = context->get_saved_variables()[0];
    const Tensor gradient = gradients[0].contiguous();
    Tensor out = at::empty_like(x);
    by_type(x, [&](auto* type) {
      cloze::gelu_tanh_backward(memory(gradient, type), memory(x, type), memory(out, type), x.numel());
    });
    return {out};
  }
};

// What dropout multiplies by, in the type and place of `like`.
Tensor factors(const Tensor& like, const cloze::Drops& drops) {
  const Tensor ones = at::ones(like.sizes(), at::TensorOptions(at::kFloat));
  return dropped(ones, std::nullopt, drops).to(like.options());
}

const Tensor& tensor(const void* pointer) {
  return *static_cast<const Tensor*>(pointer);
}

// Whether there is no bias, or one for a matrix that lies beside it.
bool fits(const std::optional<Tensor>& bias, const Tensor& matrix) {
  return !bias.has_value() ||
      (bias->dim() == 1 && bias->size(0) == matrix.size(0) && bias->dtype() == matrix.dtype() && on_cpu(*bias));
}

std::optional<Tensor> optional(const void* pointer) {
  return pointer == nullptr ? std::nullopt : std::optional<Tensor>(tensor(pointer));
}

} // namespace

int32_t cloze_products_by_onednn() {
  try {
    return onednn() != nullptr ? 1 : 0;
  } catch (...) {
    return 0;
  }
}

cloze_status cloze_linear(const void* x, const void* weight, const void* bias, void** out) {
  return cloze::guarded([&] {
    const Tensor &input = tensor(x), &matrix = tensor(weight);
    const auto added = optional(bias);
    const bool known = input.scalar_type() == at::kFloat || input.scalar_type() == at::kBFloat16;
    const bool matrices = input.dim() == 2 && matrix.dim() == 2 && input.size(1) == matrix.size(1) &&
        input.numel() > 0 && matrix.numel() > 0 && on_cpu(input) && on_cpu(matrix);
    const bool ours = known && input.dtype() == matrix.dtype() && matrices && fits(added, matrix) && onednn() != nullptr;
    *out = new Tensor(ours ? Linear::apply(input, matrix, added) : at::linear(input, matrix, added));
  });
}

cloze_status cloze_dropout(const void* x, const void* residual, uint64_t seed, uint32_t threshold, void** out) {
  return cloze::guarded([&] {
    const Tensor& input = tensor(x);
    const auto base = optional(residual);
    const cloze::Drops drops{seed, threshold};
    TORCH_CHECK(threshold < 65536, "a threshold of ", threshold, " drops everything");
    TORCH_CHECK(!base.has_value() || (base->sizes() == input.sizes() && base->dtype() == input.dtype() &&
                                       base->device() == input.device()),
                "residual and x differ in shape, type or device");
    if (on_cpu(input)) {
      *out = new Tensor(Dropout::apply(input, base, drops));
    } else {
      const Tensor by = factors(input, drops);
      *out = new Tensor(base.has_value() ? at::addcmul(*base, input, by) : at::mul(input, by));
    }
  });
}

cloze_status cloze_attention_weights(const void* scores, const void* mask, double scale, uint64_t seed,
                                     uint32_t threshold, void** out) {
  return cloze::guarded([&] {
    const Tensor& input = tensor(scores);
    const auto added = optional(mask);
    const cloze::Drops drops{seed, threshold};
    TORCH_CHECK(threshold < 65536, "a threshold of ", threshold, " drops everything");
    TORCH_CHECK(input.dim() == 4, "scores of [B, N, L, L] are wanted");
    TORCH_CHECK(!added.has_value() || added->device() == input.device(), "mask and scores lie on different devices");
    if (added.has_value()) {
      const std::vector<int64_t> wanted{input.size(0), input.size(3)};
      TORCH_CHECK(added->sizes() == wanted && added->scalar_type() == at::kFloat, "a mask of [B, L] floats is wanted");
    }
    if (on_cpu(input)) {
      *out = new Tensor(AttentionWeights::apply(input, added, scale, drops));
      return;
    }
    Tensor sum = at::mul(input.to(at::kFloat), scale);
    if (added.has_value()) {
      sum = sum + added->unsqueeze(1).unsqueeze(1);
    }
    const Tensor weights = at::softmax(sum, -1).to(input.scalar_type());
    *out = new Tensor(threshold == 0 ? weights : at::mul(weights, factors(weights, drops)));
  });
}

cloze_status cloze_gelu_tanh(const void* x, void** out) {
  return cloze::guarded([&] {
    const Tensor& input = tensor(x);
    *out = new Tensor(on_cpu(input) ? GeluTanh::apply(input) : at::gelu(input, "tanh"));
  });
}
