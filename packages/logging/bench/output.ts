/** What the benchmarks print and what they hide. */

/** Ten secrets with different beginnings. */
export const SECRETS: Readonly<Record<string, string>> = Object.fromEntries(
  Array.from({ length: 10 }, (_, index) => [
    `SECRET_${index}`,
    `${'qwertzuiop'[index] ?? ''}7#k${index}-Zx9_vault/${index * 7919}`,
  ]),
);

/** 64 KiB of lines as a build prints them; with `hasSecrets` one line in a hundred holds one. */
export function createOutput(hasSecrets: boolean): Buffer {
  const words =
    'compile link test render fetch warning note module package src/index.ts ok skip 12ms 3.4s'.split(' ');
  const lines: string[] = [];
  for (let line = 0; line < 656; line++) {
    let text = `[${line}] `;
    for (let word = line; text.length < 90; word += 7) text += `${words[word % words.length] ?? ''} `;
    if (hasSecrets && line % 100 === 50) text = `token=${SECRETS[`SECRET_${line % 10}`] ?? ''} ${text}`;
    lines.push(text.slice(0, 99));
  }
  return Buffer.from(`${lines.join('\n')}\n`);
}
