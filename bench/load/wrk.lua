-- For wrk: an optional file with one path a line is asked for in turn; the result is one line of JSON.
local threads = 0

function setup(thread)
  thread:set('number', threads)
  threads = threads + 1
end

function init(args)
  if args[1] == nil then return end
  local head, tail = 'GET ', ' HTTP/1.1\r\n'
  for name, value in pairs(wrk.headers) do tail = tail .. name .. ': ' .. value .. '\r\n' end
  if wrk.headers['Host'] == nil then tail = tail .. 'Host: ' .. wrk.host .. ':' .. wrk.port .. '\r\n' end
  tail = tail .. '\r\n'
  local paths = {}
  for line in io.lines(args[1]) do paths[#paths + 1] = line end
  -- Threads begin at different places, so that they do not ask for the same at the same time.
  local at = math.floor(#paths / 2) * (number % 2)
  function request()
    at = at % #paths + 1
    return head .. paths[at] .. tail
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"bytes":%d,"p50":%f,"p99":%f,"badStatus":%d,"broken":%d,"timeouts":%d}\n',
    summary.requests, summary.duration, summary.bytes,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
