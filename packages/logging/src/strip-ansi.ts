/** Takes terminal control out of text. Invariant: what is left cannot move a cursor, set a title or change a colour. */

/**
 * Removes escape sequences (CSI, OSC, DCS and shorter ones) and control characters other than tab, newline and
 * carriage return.
 *
 * @param text - decoded output; a sequence that is cut by the end of the text is removed as far as it goes
 */
export function stripAnsi(text: string): string {
  return CONTROL.test(text) ? text.replaceAll(SEQUENCES, '') : text;
}

// oxlint-disable no-control-regex -- Control characters are what this file is about.
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;

const SEQUENCES = new RegExp(
  [
    // CSI: parameters, intermediates, one final byte.
    '(?:\\u001b\\[|\\u009b)[0-?]*[ -/]*[@-~]?',
    // OSC, DCS, SOS, PM, APC: anything up to BEL or ST.
    '(?:\\u001b[\\]PX^_]|[\\u0090\\u0098\\u009d-\\u009f])[^\\u0007\\u001b\\u009c]*(?:\\u0007|\\u001b\\\\|\\u009c)?',
    // Two and three byte sequences.
    '\\u001b[ -/]*[0-~]?',
    '[\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f]',
  ].join('|'),
  'g',
);
