// SPDX-License-Identifier: Apache-2.0
#include "ike/exchange/seam.hpp"

#include <algorithm>

namespace sallyport::ike::exchange {

Task<Verdict> offer(Context context, ExchangeType point, Writer& request) {
    for (const Extension* extension : context.extensions())
        if (extension->offer != nullptr)
            if (Verdict verdict = co_await extension->offer(context, point, request); !verdict) co_return verdict;
    co_return Verdict{};
}

Task<Verdict> examine(Context context, ExchangeType point, const Received& request) {
    for (const Extension* extension : context.extensions())
        if (extension->examine != nullptr)
            if (Verdict verdict = co_await extension->examine(context, point, request); !verdict) co_return verdict;
    co_return Verdict{};
}

Task<Verdict> answer(Context context, ExchangeType point, const Received& request, Writer& response) {
    for (const Extension* extension : context.extensions())
        if (extension->answer != nullptr)
            if (Verdict verdict = co_await extension->answer(context, point, request, response); !verdict) co_return verdict;
    co_return Verdict{};
}

Task<Verdict> conclude(Context context, ExchangeType point, const Received& response) {
    for (const Extension* extension : context.extensions())
        if (extension->conclude != nullptr)
            if (Verdict verdict = co_await extension->conclude(context, point, response); !verdict) co_return verdict;
    co_return Verdict{};
}

bool additional(const Context& context) {
    return std::ranges::any_of(context.extensions(), [&](const Extension* extension) {
        return extension->additional != nullptr && extension->additional(context.sa);
    });
}

bool pending(const Context& context) {
    return std::ranges::any_of(context.extensions(),
                               [&](const Extension* extension) { return extension->pending != nullptr && extension->pending(context.sa); });
}

Answer refusal(Refusal refusal) {
    Answer answer;
    answer.payloads.notify(refusal.type, refusal.data);
    answer.end = true;
    answer.sentence = std::move(refusal.sentence);
    return answer;
}

std::unexpected<Refusal> refuse(NotifyType type, std::string sentence, std::vector<std::uint8_t> data) {
    return std::unexpected(Refusal{type, std::move(data), std::move(sentence)});
}

std::string said(const Notify& error) {
    const std::string_view name = name_of(error.type);
    return "the peer says " + (name.empty() ? "error " + std::to_string(static_cast<unsigned>(error.type)) : std::string(name));
}

} // namespace sallyport::ike::exchange
