-- The requests of sandbox_load.py: triage with the small model and a forced tool, every text another one. One argument: the first number.
local number = 0
local body = '{"messages":[{"role":"user","content":[{"text":"<ticket>\\nid: L-%d\\nSubject: Charged twice\\n\\n'
  .. 'Invoice %d was charged twice this month. Please refund one of the two payments.\\n</ticket>"}]}],'
  .. '"system":[{"text":"Route the support ticket. Call route_ticket."}],'
  .. '"inferenceConfig":{"maxTokens":300,"temperature":0},"requestMetadata":{"run":"load"},'
  .. '"toolConfig":{"tools":[{"toolSpec":{"name":"route_ticket","description":"Record the routing decision.","inputSchema":{"json":'
  .. '{"type":"object","properties":{"ticket_id":{"type":"string"},'
  .. '"category":{"type":"string","enum":["billing","auth","integration","performance","bug_report","feature_request","abuse","other"]},'
  .. '"priority":{"type":"string","enum":["P0","P1","P2","P3"]},"confidence":{"type":"number","minimum":0,"maximum":1},'
  .. '"reasoning":{"type":"string"},"needs_human":{"type":"boolean"}},'
  .. '"required":["ticket_id","category","priority","confidence","reasoning","needs_human"]}}}}],'
  .. '"toolChoice":{"tool":{"name":"route_ticket"}}}}'

function init(arguments)
  number = tonumber(arguments[1]) or 0
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["X-Amz-Date"] = os.date("!%Y%m%dT%H%M%SZ")
  wrk.headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=AKIDSANDBOX/" .. os.date("!%Y%m%d")
    .. "/us-west-2/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=" .. string.rep("0a", 32)
end

function request()
  number = number + 1
  wrk.headers["amz-sdk-invocation-id"] = string.format("00000000-0000-4000-8000-%012d", number)
  wrk.headers["amz-sdk-request"] = "attempt=1; max=1"
  return wrk.format(nil, nil, nil, string.format(body, number, number))
end

function done(summary, latency)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration, failed, latency:percentile(50), latency:percentile(99)))
end
