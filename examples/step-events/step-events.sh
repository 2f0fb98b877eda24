# Structured events from a shell step. Source it:  . ./step-events.sh
# Outside of a run every call does nothing and succeeds, so the same script works by hand.

# step_event KIND BODY_JSON
step_event() {
  [ -n "${CONDUCTOR_EVENTS_FD:-}" ] || return 0
  eval "printf '%s\n' \"{\\\"kind\\\":\\\"\$1\\\",\\\"body\\\":\$2}\" >&$CONDUCTOR_EVENTS_FD"
}

# step_authorize CAPABILITY TARGET   (plain words; returns 1 when it is denied, or when nobody can answer any more)
step_authorize() {
  [ -n "${CONDUCTOR_EVENTS_FD:-}" ] || return 0
  step_count=$((${step_count:-0} + 1))
  # A subshell has the same $$ and counts on from the same number: what tells it apart is its own pid.
  step_question=$(exec sh -c 'echo "$PPID"')-$step_count
  eval "printf '{\"kind\":\"authorize\",\"id\":\"%s\",\"body\":{\"capability\":\"%s\",\"target\":\"%s\"}}\n' \"$step_question\" \"\$1\" \"\$2\" >&$CONDUCTOR_EVENTS_FD"
  # An answer may come twice: the second one must not be taken for the answer to the next question.
  while eval "read -r step_reply <&$CONDUCTOR_REPLIES_FD"; do
    case $step_reply in
      "{\"id\":\"$step_question\",\"ok\":true}") return 0 ;;
      "{\"id\":\"$step_question\","*) return 1 ;;
    esac
  done
  return 1
}
