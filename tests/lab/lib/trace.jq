# What the program's trace (docs/json.md) says, from all lines of a row:
#   fault TEXT                   a step ended as it cannot end
#   built MODULE@KERNEL=TIMES    builds that the plans announced and that were tried
#   changed KERNEL               a kernel whose module files the plans change

# The plans, each with the outcomes of its steps by their numbers. A script of a run may have called the program.
reduce .[] as $line ([];
	if $line.plan then . + [{ pid: $line.pid, steps: $line.plan.steps, outcomes: {} }]
	else ([range(length) as $i | select(.[$i].pid == $line.pid) | $i] | last) as $own
		| .[$own].outcomes[$line.step | tostring] = $line.outcome
	end)
| . as $plans
| (
	$plans[] | .outcomes as $outcomes | .steps as $steps | $steps | to_entries[]
	| .key as $at | .value as $step | $outcomes[$at | tostring] as $outcome
	| [$step.needs[] | $outcomes[tostring]] as $needs
	| any($needs[]; . == "failed" or . == "left-out") as $lacks
	| if $outcome == null then
		# The run was killed before it; not so if a step that needs it ended. (Others may have overtaken it.)
		select(any($steps | to_entries[]; (.value.needs | any(. == $at)) and $outcomes[.key | tostring] != null))
		| "fault no outcome: \($step.text)"
	elif $outcome == "left-out" and ($lacks | not)
		or $outcome != "left-out" and $lacks
		or $outcome == "not-wanted" and $step.when == null and all($needs[]; . != "not-wanted")
	then "fault \($outcome): \($step.text)"
	else empty end
),
(
	[
		$plans[] | .outcomes as $outcomes | .steps | to_entries[]
		| select($outcomes[.key | tostring] | . == "done" or . == "failed" or . == null)
		| .value.action
	]
	| (
		[.[] | select(.do == "build") | "\(.cell.module.name)@\(.cell.kernel)"]
		| group_by(.)[] | "built \(.[0])=\(length)"
	),
	(
		[.[] | select(.do | IN("install", "uninstall", "resign", "unbuild", "sweep", "share", "unlink")) | .kernel // .cell.kernel]
		| unique[] | "changed \(.)"
	)
)
