// Structured events from a Node step. Outside of a run every call does nothing, and everything is allowed.
import { readSync, writeSync } from 'node:fs';

const eventsFd = Number(process.env.CONDUCTOR_EVENTS_FD);
const repliesFd = Number(process.env.CONDUCTOR_REPLIES_FD);
let questions = 0;

/** Reports something: `stepEvent('progress', { current: 1, total: 3 })`. */
export function stepEvent(kind, body = {}, id) {
  if (eventsFd > 0) writeSync(eventsFd, `${JSON.stringify({ kind, id, body })}\n`);
}

/** Asks before doing something; returns `{ ok: true }` or `{ ok: false, error: { code, message } }`. Blocks until answered. */
export function authorize(capability, target) {
  if (!(eventsFd > 0)) return { ok: true };
  questions += 1;
  const id = `${process.pid}-${questions}`;
  stepEvent('authorize', { capability, target }, id);
  for (;;) {
    const reply = JSON.parse(readLine());
    if (reply.id === id) return reply;
  }
}

/** One byte at a time: what follows the line belongs to the next question. */
function readLine() {
  const byte = Buffer.alloc(1);
  const bytes = [];
  for (;;) {
    if (readSync(repliesFd, byte) === 0) throw new Error('The runner has closed the replies');
    if (byte[0] === 10) return Buffer.from(bytes).toString('utf8');
    bytes.push(byte[0]);
  }
}
