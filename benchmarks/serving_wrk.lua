-- Sends the bodies of a file in turn, one per line, for the cross-check of benchmarks/serving.py with wrk:
--     BODIES=bodies.jsonl wrk -t1 -c64 -d10s -s benchmarks/serving_wrk.lua URL/predict
local bodies = {}
for line in io.lines(os.getenv("BODIES")) do
   bodies[#bodies + 1] = line
end
local number = 0
local headers = { ["Content-Type"] = "application/json" }

function request()
   number = number % #bodies + 1
   return wrk.format("POST", nil, headers, bodies[number])
end
