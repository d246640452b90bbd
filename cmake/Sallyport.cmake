# SPDX-License-Identifier: Apache-2.0
# What a folder's CMakeLists.txt is written in:
#   sallyport_bpf_object(NAME SOURCES NAME.bpf.c)                  skeleton "bpf/NAME.skel.h", room bpf
#   sallyport_room(FOLDER SOURCES ... DEPENDS ROOMS ... LIBRARIES ...)   static library; without SOURCES headers only
#   sallyport_test(FOLDER [NAME name] SOURCES ... DEPENDS ROOMS ... LIBRARIES ... [PARSER] [THREADS])
#                                                                  FOLDER_test or FOLDER_name_test with GoogleTest
#   sallyport_fuzz(FOLDER NAME name SOURCES ... CORPUS folder [DEPENDS ROOMS ...])          FOLDER_name_fuzz, FOLDER_name_replay
#   sallyport_program(NAME DESTINATION folder SOURCES ... DEPENDS ROOMS ... LIBRARIES ...)    folder: where the package has it
#   sallyport_bench(NAME SOURCES ... DEPENDS ROOMS ... LIBRARIES ...)    bench-NAME
# FOLDER is the path from the top, its target the same with underscores. DEPENDS are the arrows, checked when configuring.
# Targets of them all: sallyport-programs, sallyport-tests, sallyport-benches, sallyport-fuzzers.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 17)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(SALLYPORT_KIND "release" CACHE STRING "what this build is for: the name of its preset")

add_library(sallyport_options INTERFACE)
target_include_directories(sallyport_options INTERFACE "${CMAKE_SOURCE_DIR}")
target_compile_options(sallyport_options INTERFACE
    -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wno-sign-conversion -Wcast-qual -Wformat=2 -Wimplicit-fallthrough -Wvla
    $<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast -Wnon-virtual-dtor -Woverloaded-virtual>
    # Designated initialisers leave members at their defaults on purpose.
    -Wno-missing-field-initializers
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wduplicated-cond -Wlogical-op -Wno-interference-size>
    -fstack-protector-strong $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-plt>)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    # Every processor of the last fifteen years; what is newer is chosen at run time.
    target_compile_options(sallyport_options INTERFACE -march=x86-64-v2)
endif()
target_link_options(sallyport_options INTERFACE -Wl,-z,relro,-z,now)

# What the release does not look at (gateway/port/holders.hpp).
if(NOT SALLYPORT_KIND STREQUAL "release")
    target_compile_definitions(sallyport_options INTERFACE SALLYPORT_CHECKED)
endif()

foreach(kind programs tests benches fuzzers)
    add_custom_target(sallyport-${kind})
endforeach()
set_property(GLOBAL PROPERTY sallyport_order bpf gateway ike mgmt tests bench)

function(sallyport_target_name folder result)
    string(REPLACE "/" "_" name "${folder}")
    set(${result} "${name}" PARENT_SCOPE)
endfunction()

# An arrow FOLDER -> ROOM: never to a room that comes later, never to tests or bench. Cycles are looked for in sallyport_finish().
function(sallyport_arrows folder)
    get_property(order GLOBAL PROPERTY sallyport_order)
    string(REGEX REPLACE "/.*" "" from "${folder}")
    list(FIND order "${from}" from_place)
    foreach(room IN LISTS ARGN)
        string(REGEX REPLACE "/.*" "" to "${room}")
        list(FIND order "${to}" to_place)
        if(to_place EQUAL -1 OR from_place EQUAL -1)
            message(FATAL_ERROR "${folder} depends on ${room}: a room begins with one of ${order}")
        endif()
        if(to_place GREATER from_place OR to MATCHES "^(tests|bench)$")
            message(FATAL_ERROR "${folder} depends on ${room}: arrows point mgmt -> ike -> gateway -> bpf, never back")
        endif()
    endforeach()
endfunction()

function(sallyport_link target folder scope)
    cmake_parse_arguments(PARSE_ARGV 3 arg "" "" "DEPENDS;LIBRARIES")
    sallyport_arrows("${folder}" ${arg_DEPENDS})
    foreach(room IN LISTS arg_DEPENDS)
        sallyport_target_name("${room}" name)
        target_link_libraries(${target} ${scope} sallyport::${name})
    endforeach()
    target_link_libraries(${target} ${scope} ${arg_LIBRARIES})
endfunction()

# The rooms of mgmt share one precompiled header of the standard library.
function(sallyport_mgmt_pch name)
    if(NOT TARGET sallyport_mgmt_pch)
        add_library(sallyport_mgmt_pch STATIC EXCLUDE_FROM_ALL "${CMAKE_SOURCE_DIR}/cmake/mgmt_pch.cpp")
        target_link_libraries(sallyport_mgmt_pch PRIVATE sallyport_options)
        target_precompile_headers(sallyport_mgmt_pch PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${CMAKE_SOURCE_DIR}/cmake/mgmt_pch.hpp>")
    endif()
    target_precompile_headers(${name} REUSE_FROM sallyport_mgmt_pch)
endfunction()

function(sallyport_room folder)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPENDS;LIBRARIES")
    sallyport_target_name("${folder}" name)
    if(arg_SOURCES)
        add_library(${name} STATIC ${arg_SOURCES})
        target_link_libraries(${name} PUBLIC sallyport_options)
        sallyport_link(${name} "${folder}" PUBLIC DEPENDS ${arg_DEPENDS} LIBRARIES ${arg_LIBRARIES})
        if(folder MATCHES "^mgmt/")
            sallyport_mgmt_pch(${name})
        endif()
    else()
        add_library(${name} INTERFACE)
        target_link_libraries(${name} INTERFACE sallyport_options)
        sallyport_link(${name} "${folder}" INTERFACE DEPENDS ${arg_DEPENDS} LIBRARIES ${arg_LIBRARIES})
    endif()
    add_library(sallyport::${name} ALIAS ${name})
    set_property(GLOBAL APPEND PROPERTY sallyport_rooms "${folder}")
    set_property(GLOBAL PROPERTY "sallyport_depends_${folder}" "${arg_DEPENDS}")
endfunction()

# A line of tests.tsv, which tests/run.py reads: kind, name, folder, argument, words.
function(sallyport_list kind name folder argument words)
    set_property(GLOBAL APPEND PROPERTY sallyport_tests "${kind}\t${name}\t${folder}\t${argument}\t${words}")
endfunction()

function(sallyport_test folder)
    cmake_parse_arguments(PARSE_ARGV 1 arg "PARSER;THREADS" "NAME" "SOURCES;DEPENDS;LIBRARIES")
    if(NOT GTest_FOUND OR (SALLYPORT_KIND STREQUAL "asan" AND NOT arg_PARSER) OR (SALLYPORT_KIND STREQUAL "tsan" AND NOT arg_THREADS)
       OR SALLYPORT_KIND STREQUAL "fuzz")
        return()
    endif()
    sallyport_target_name("${folder}" room)
    set(name ${room}_test)
    if(arg_NAME)
        set(name ${room}_${arg_NAME}_test)
    endif()
    add_executable(${name} EXCLUDE_FROM_ALL ${arg_SOURCES})
    if(NOT TARGET sallyport_gtest_pch)
        # An executable like its users: g++ refuses a header precompiled with -fPIC where -fPIE is given.
        add_executable(sallyport_gtest_pch EXCLUDE_FROM_ALL "${CMAKE_SOURCE_DIR}/cmake/gtest_pch.cpp")
        target_link_libraries(sallyport_gtest_pch PRIVATE sallyport_options GTest::gtest GTest::gmock)
        target_precompile_headers(sallyport_gtest_pch PRIVATE "${CMAKE_SOURCE_DIR}/cmake/gtest_pch.hpp")
    endif()
    target_precompile_headers(${name} REUSE_FROM sallyport_gtest_pch)
    target_link_libraries(${name} PRIVATE sallyport_options GTest::gtest GTest::gmock GTest::gtest_main Threads::Threads)
    # The room under test, where it is one, and what the test names.
    if(TARGET sallyport::${room})
        target_link_libraries(${name} PRIVATE sallyport::${room})
    endif()
    sallyport_link(${name} "${folder}" PRIVATE DEPENDS ${arg_DEPENDS} LIBRARIES ${arg_LIBRARIES})
    target_compile_definitions(${name} PRIVATE SALLYPORT_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    add_dependencies(sallyport-tests ${name})
    set(words "")
    if(arg_PARSER)
        string(APPEND words "PARSER ")
    endif()
    if(arg_THREADS)
        string(APPEND words "THREADS")
    endif()
    sallyport_list(gtest ${name} "${folder}" "" "${words}")
endfunction()

function(sallyport_fuzz folder)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "NAME;CORPUS" "SOURCES;DEPENDS;LIBRARIES")
    if(NOT SALLYPORT_KIND MATCHES "^(fuzz|test|asan|coverage|clang)$")
        return()
    endif()
    sallyport_target_name("${folder}" room)
    set(corpus "${CMAKE_CURRENT_SOURCE_DIR}/${arg_CORPUS}")
    if(SALLYPORT_KIND STREQUAL "fuzz")
        set(name ${room}_${arg_NAME}_fuzz)
        add_executable(${name} EXCLUDE_FROM_ALL ${arg_SOURCES})
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
        add_dependencies(sallyport-fuzzers ${name})
        sallyport_list(fuzz ${name} "${folder}" "${corpus}" "")
    else()
        set(name ${room}_${arg_NAME}_replay)
        add_executable(${name} EXCLUDE_FROM_ALL ${arg_SOURCES} "${CMAKE_SOURCE_DIR}/cmake/replay.cpp")
        add_dependencies(sallyport-tests ${name})
        sallyport_list(replay ${name} "${folder}" "${corpus}" "PARSER")
    endif()
    target_link_libraries(${name} PRIVATE sallyport_options)
    if(TARGET sallyport::${room})
        target_link_libraries(${name} PRIVATE sallyport::${room})
    endif()
    sallyport_link(${name} "${folder}" PRIVATE DEPENDS ${arg_DEPENDS} LIBRARIES ${arg_LIBRARIES})
endfunction()

function(sallyport_folder result)
    file(RELATIVE_PATH folder "${CMAKE_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}")
    set(${result} "${folder}" PARENT_SCOPE)
endfunction()

function(sallyport_program name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "DESTINATION" "SOURCES;DEPENDS;LIBRARIES")
    sallyport_folder(folder)
    add_executable(${name} EXCLUDE_FROM_ALL ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE sallyport_options)
    sallyport_link(${name} "${folder}" PRIVATE DEPENDS ${arg_DEPENDS} LIBRARIES ${arg_LIBRARIES})
    add_dependencies(sallyport-programs ${name})
    install(PROGRAMS "$<TARGET_FILE:${name}>" DESTINATION "${arg_DESTINATION}")
endfunction()

function(sallyport_bench name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPENDS;LIBRARIES")
    sallyport_folder(folder)
    add_executable(bench-${name} EXCLUDE_FROM_ALL ${arg_SOURCES})
    target_link_libraries(bench-${name} PRIVATE sallyport_options)
    sallyport_link(bench-${name} "${folder}" PRIVATE DEPENDS ${arg_DEPENDS} LIBRARIES ${arg_LIBRARIES})
    add_dependencies(sallyport-benches bench-${name})
    sallyport_list(bench bench-${name} "${folder}" "" "")
endfunction()

# BPF by clang, and the skeleton that loads it; all objects together are the room bpf.
function(sallyport_bpf_object name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;OPTIONS")
    set(generated "${CMAKE_BINARY_DIR}/generated")
    file(MAKE_DIRECTORY "${generated}/bpf")
    set(object "${generated}/bpf/${name}.bpf.o")
    set(skeleton "${generated}/bpf/${name}.skel.h")
    list(TRANSFORM arg_SOURCES PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
    add_custom_command(
        OUTPUT "${object}"
        COMMAND "${BPF_CLANG}" -target bpf -mcpu=v3 -O2 -g -std=gnu17 -Wall -Wextra -Werror -Wno-unused-parameter
            "-I${CMAKE_SOURCE_DIR}" -idirafter "/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}" ${arg_OPTIONS}
            "-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=" -MD -MT "${object}" -MF "${object}.d" -c ${arg_SOURCES} -o "${object}"
        DEPENDS ${arg_SOURCES}
        DEPFILE "${object}.d"
        COMMENT "BPF ${name}"
        VERBATIM)
    add_custom_command(
        OUTPUT "${skeleton}"
        COMMAND sh -c "'${BPFTOOL}' gen skeleton '${object}' name '${name}_bpf' >'${skeleton}'"
        DEPENDS "${object}"
        COMMENT "BPF skeleton ${name}"
        VERBATIM)
    add_custom_target(bpf_${name}_skeleton DEPENDS "${skeleton}")
    if(NOT TARGET bpf)
        add_library(bpf INTERFACE)
        add_library(sallyport::bpf ALIAS bpf)
        target_include_directories(bpf SYSTEM INTERFACE "${generated}")
        target_link_libraries(bpf INTERFACE sallyport_options PkgConfig::libbpf)
        set_property(GLOBAL APPEND PROPERTY sallyport_rooms bpf)
    endif()
    add_dependencies(bpf bpf_${name}_skeleton)
endfunction()

# A cycle among rooms: take away, again and again, the rooms that lean on nothing that is left.
function(sallyport_check_cycles)
    get_property(left GLOBAL PROPERTY sallyport_rooms)
    set(before -1)
    list(LENGTH left count)
    while(count GREATER 0 AND NOT count EQUAL before)
        set(before ${count})
        set(still "")
        foreach(room IN LISTS left)
            get_property(depends GLOBAL PROPERTY "sallyport_depends_${room}")
            foreach(other IN LISTS depends)
                if(other IN_LIST left)
                    list(APPEND still "${room}")
                    break()
                endif()
            endforeach()
        endforeach()
        set(left ${still})
        list(LENGTH left count)
    endwhile()
    if(left)
        message(FATAL_ERROR "the arrows of these rooms make a circle: ${left}")
    endif()
endfunction()

function(sallyport_finish)
    sallyport_check_cycles()
    get_property(tests GLOBAL PROPERTY sallyport_tests)
    list(JOIN tests "\n" text)
    file(WRITE "${CMAKE_BINARY_DIR}/tests.tsv" "${text}\n")
endfunction()
