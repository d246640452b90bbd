/* SPDX-License-Identifier: Apache-2.0 */
/* The interface io.sallyport.Gateway; sd-varlink's macros are C only. */
#pragma once

#include <systemd/sd-varlink-idl.h>

#ifdef __cplusplus
extern "C" {
#endif

extern const sd_varlink_interface vl_interface_sallyport_gateway;

#ifdef __cplusplus
}
#endif
