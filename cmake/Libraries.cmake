# SPDX-License-Identifier: Apache-2.0
# Every library of others that a room may name under LIBRARIES, found once.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(tomlplusplus REQUIRED CONFIG)
find_package(CLI11 REQUIRED CONFIG)
pkg_check_modules(libxdp REQUIRED IMPORTED_TARGET GLOBAL libxdp)
pkg_check_modules(libbpf REQUIRED IMPORTED_TARGET GLOBAL libbpf)
pkg_check_modules(libnl-route-3.0 REQUIRED IMPORTED_TARGET GLOBAL libnl-route-3.0)
pkg_check_modules(libnl-genl-3.0 REQUIRED IMPORTED_TARGET GLOBAL libnl-genl-3.0)
pkg_check_modules(liburcu-qsbr REQUIRED IMPORTED_TARGET GLOBAL liburcu-qsbr)
pkg_check_modules(libsystemd REQUIRED IMPORTED_TARGET GLOBAL libsystemd)
pkg_check_modules(libcap REQUIRED IMPORTED_TARGET GLOBAL libcap)
# The boot guard's rules: the grammar of nft(8) and one transaction by a library, no command to start.
pkg_check_modules(libnftables REQUIRED IMPORTED_TARGET GLOBAL libnftables)

# ipsec-mb is there on x86-64 only; sallyport::ipsec_mb is empty elsewhere, and OpenSSL does the work.
add_library(sallyport_ipsec_mb INTERFACE)
add_library(sallyport::ipsec_mb ALIAS sallyport_ipsec_mb)
find_library(IPSEC_MB_LIBRARY IPSec_MB)
if(IPSEC_MB_LIBRARY)
    target_link_libraries(sallyport_ipsec_mb INTERFACE "${IPSEC_MB_LIBRARY}")
    target_compile_definitions(sallyport_ipsec_mb INTERFACE SALLYPORT_HAVE_IPSEC_MB=1)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    message(FATAL_ERROR "libipsec-mb-dev is missing")
endif()

# Tests and benchmarks; a build of the package needs neither.
find_package(GTest CONFIG)
find_package(benchmark CONFIG)
find_program(BPF_CLANG NAMES clang-19 REQUIRED)
find_program(BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)
