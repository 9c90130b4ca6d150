"""The script runner. A script is a .txtar file:

    # Text that says which behaviour this is about.       (must be there)
    on sandbox                                            (conditions, if any)
    vm db-0 disks=2                                       (commands, one per line; # begins a comment)
    run snapshot db-0 --name s1
    exit 0
    stdout table
    -- table --
    (the expected text; further files follow in the same way)

The commands run one after the other; the first that does not hold fails the script. Words are split as by a shell, without
its expansions; $NS (the script's own namespace), $WORK (its own folder, where its files are), $BIN (the tool), $SANDBOX,
$KUBECONFIG, $SERVER (https://host:port), $ROOT (of the project), $STATE (of the cluster), $KUBECTL
and what `keep` kept are replaced, in files only $NS, $WORK and $SERVER.

Conditions
  on sandbox|cluster          run there only. Scripts in tests/contract run on both, those in tests/cli on the sandbox
  kubevirt >=1.9              only where KubeVirt is that new (also <1.9)
  needs PROGRAM...            only where these are installed (kubectl: in the folder of --bin); else the script is skipped, and said to be.
                              unshare: and new mount namespaces are allowed
  sandbox FLAGS...            further flags for the sandbox of this script (before the first command)
  alone                       changes the whole cluster, or cannot wait for a busy one: run when no other script runs
  limit 2m                    how long the script may take (default 30s on the sandbox, 120s on a cluster)

The world
  vm NAME [disks=N] [class=C] [stopped] [KEY=VALUE...]   claims NAME-d1.. as volumes d1.., a VM of them, and wait until it runs with its
                              agent connected (or is stopped). Other KEYs are the guest's behaviour: agent=none, freeze=fail, ...
  apply FILE                  kubectl apply; a file of the script, or $ROOT/...
  patch [--status] [-n NS] KIND NAME JSON     a merge patch, of the status with --status
  delete [--now] [-n NS] KIND NAME        and wait until it is gone; --now: whatever finalizers it has
  put KIND NAME SUBRESOURCE [JSON]        freeze, unfreeze, pause, unpause of a vmi; start, stop of a vm
  wait KIND NAME PATH=VALUE   until the field has that value; condition.TYPE=True; gone
  wait-vm NAME running|agent|stopped|paused
  object KIND NAME PATH VALUE the field has that value now (as for json, below)
  none KIND, wait-none KIND   the namespace holds no object of that kind: now, or after a while
  as SERVICEACCOUNT           the tool acts as that account from here on
  finally COMMAND...          a command for the end, whatever happens; of a run the exit code must be 0
  fault JSON / hook JSON / ctl compact|end-watches|go-away       the sandbox goes wrong: tests/sandbox/README.md. A fault that never
                              hit anything fails the script

The tool
  env NAME=VALUE..., unset NAME..., clear-env             its environment. It always has KUBECONFIG, HOME, PATH, TMPDIR
  run ARGS...                 runs it to its end; each run must be followed by an `exit` before the next
  sh COMMAND                  the same for a line of bash (pipefail), which finds the tool as $BIN
  bg ARGS...                  starts it
  await TEXT                  until that text stands on the started one's stderr; await-out TEXT: on its stdout
  signal INT|TERM|...         sends it a signal
  join                        waits for its end

What it did (the last run, sh or join)
  exit N
  stdout FILE|empty, stderr FILE|empty      the whole text, after the replacements below
  stdout-has TEXT, stderr-has TEXT, stdout-lacks TEXT, stderr-lacks TEXT     (the rest of the line as it stands)
  json PATH VALUE             a field of the JSON on stdout: json items.0.phase Succeeded. VALUE is JSON, or else a string;
                              `present`, `absent` are about the field itself
  keep NAME PATH              remembers a field of the JSON on stdout as $NAME
  requests FILE|empty         what the last run sent to the sandbox, in its order, but for the watches
  watches FILE                the watches, sorted: only where the run lasts long enough for all of them to begin
  disks SNAPSHOT clean|torn|crash[|...]     what is really in the copies: journals of the guest on a cluster, the guest's state at the cuts
                              on the sandbox
  claims SNAPSHOT FILE        the level in the report FILE is no stronger than the copies are; prints both
  one-instant yes|no SNAPSHOT...      some instant fits the copies of all of them: each guest stood as its copies show it. By what the guests
                              themselves wrote down, and the records in the copies (on the sandbox: the times of the cuts)
  claims-group FILE           claims for each snapshot in the report of a group; that they are of one instant is claimed only where it is so

Before texts are compared, what differs from run to run is replaced, by text of the same length where a table may hold it: times,
run ids, UIDs (numbered as they appear), durations, ports, paths, numbers of versions (vN.N.N), and the namespace, which reads `prod`.
VMBACKUP_TEST_ACCEPT=1 writes what was found into the scripts instead of comparing.
"""
