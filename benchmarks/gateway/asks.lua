-- For wrk: sends one request with one key of a file after another, and prints what came of it as a line of JSON.
-- Arguments: the file of keys, one a line, the method, and the body or "-".

local requests = {}
local asked = 0

function init(arguments)
  local body = arguments[3]
  if body == "-" then body = nil end
  for key in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format(arguments[2], nil, {
      ["Authorization"] = "Bearer " .. key, ["Content-Type"] = "application/json"
    }, body)
  end
end

function request()
  asked = asked + 1
  return requests[(asked - 1) % #requests + 1]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "failed": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed
  ))
end
