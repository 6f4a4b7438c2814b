// A name that ProcessGroupGloo.hpp includes; see gloo_abi.h.
#pragma once
#include "gloo_abi.h"
