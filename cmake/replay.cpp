// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over the files of a committed corpus, in builds without libFuzzer: NAME_replay FOLDER ...
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
    std::size_t count = 0;
    for (int i = 1; i < argc; ++i) {
        for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
            if (!entry.is_regular_file()) continue;
            std::ifstream file(entry.path(), std::ios::binary);
            const std::vector<char> text{std::istreambuf_iterator<char>(file), {}};
            // An allocation of the exact size, so that a read past the end is seen by AddressSanitizer.
            const auto exact = std::make_unique<std::uint8_t[]>(text.size());
            for (std::size_t k = 0; k < text.size(); ++k) exact[k] = static_cast<std::uint8_t>(text[k]);
            std::printf("%s\n", entry.path().c_str());
            std::fflush(stdout);
            LLVMFuzzerTestOneInput(exact.get(), text.size());
            ++count;
        }
    }
    std::printf("%zu inputs\n", count);
    return count == 0 ? 1 : 0;
}
