# Structured events from a shell step. Source it:  . ./step-events.sh
# Outside of a run every call does nothing and succeeds, so the same script works by hand.

# step_event KIND BODY_JSON
step_event() {
  [ -n "${CONDUCTOR_EVENTS_FD:-}" ] || return 0
  eval "printf '%s\n' \"{\\\"kind\\\":\\\"\$1\\\",\\\"body\\\":\$2}\" >&$CONDUCTOR_EVENTS_FD"
}

# step_authorize CAPABILITY TARGET   (plain words; returns 1 when it is denied)
step_authorize() {
  [ -n "${CONDUCTOR_EVENTS_FD:-}" ] || return 0
  step_question=$((${step_question:-0} + 1))
  eval "printf '{\"kind\":\"authorize\",\"id\":\"%s\",\"body\":{\"capability\":\"%s\",\"target\":\"%s\"}}\n' \"$$-$step_question\" \"\$1\" \"\$2\" >&$CONDUCTOR_EVENTS_FD"
  eval "read -r step_reply <&$CONDUCTOR_REPLIES_FD"
  case $step_reply in *'"ok":true'*) return 0 ;; *) return 1 ;; esac
}
