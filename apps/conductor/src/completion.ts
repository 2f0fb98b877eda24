/** Completion scripts for shells, made from the command tree: what the program does not have, no shell offers. */
import { type CommandNode, flattenCommands } from './command-tree.ts';

/** Shells there are scripts for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** One of them. */
export type Shell = (typeof SHELLS)[number];

/** What scripts ask the program for when an argument names one: jobs of the config, the newest runs. */
export const NAMES = ['jobs', 'runs'] as const;

/**
 * Writes a completion script.
 *
 * @param shell - for which
 * @param root - the program
 */
export function completionScript(shell: Shell, root: CommandNode): string {
  const nodes = flattenCommands(root);
  switch (shell) {
    case 'bash':
      return bashScript(nodes);
    case 'zsh':
      return zshScript(nodes);
    case 'fish':
      return fishScript(nodes);
  }
}

function bashScript(nodes: readonly CommandNode[]): string {
  const offers = nodes.map(
    (node) => `    ${quote(node.path)}) offers=${quote(wordsOf(node).join(' '))}; names=${namesOf(node)} ;;`,
  );
  return `# bash completion for conductor. Use it: source <(conductor completion bash)
_conductor() {
  local at="" offers="" names="" word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    case "$at $word" in
      ${stepsOf(nodes).map(quote).join(' | ')}) at="\${at:+$at }$word" ;;
    esac
  done
  case "$at" in
${offers.join('\n')}
  esac
  if [[ -n "$names" && "\${COMP_WORDS[COMP_CWORD]}" != -* ]]; then
    offers+=" $("\${COMP_WORDS[0]}" completion "$names" 2>/dev/null)"
  fi
  COMPREPLY=($(compgen -W "$offers" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _conductor ${PROGRAMS.join(' ')}
`;
}

function zshScript(nodes: readonly CommandNode[]): string {
  const entry = (word: string, description: string): string =>
    quote(`${word}:${description.replaceAll(':', '\\:')}`);
  const offers = nodes.map((node) => {
    const commands = node.children.map((child) => entry(lastWord(child), child.description));
    const options = node.options.map((option) => entry(option.long, option.description));
    return `    ${quote(node.path)}) commands=(${commands.join(' ')}); options=(${options.join(' ')}); names=${namesOf(node)} ;;`;
  });
  return `#compdef ${PROGRAMS.join(' ')}
# zsh completion for conductor. Use it: conductor completion zsh > "\${fpath[1]}/_conductor"
_conductor() {
  local at="" names="" word
  local -a commands options
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$at $word" in
      ${stepsOf(nodes).map(quote).join('|')}) at="\${at:+$at }$word" ;;
    esac
  done
  case "$at" in
${offers.join('\n')}
  esac
  _describe -t commands command commands
  _describe -o -t options option options
  [[ -n "$names" ]] && compadd -- \${(f)"$($words[1] completion $names 2>/dev/null)"}
  (( $#commands )) || _files
}
if [ "$funcstack[1]" = "_conductor" ]; then _conductor "$@"; else compdef _conductor ${PROGRAMS.join(' ')}; fi
`;
}

function fishScript(nodes: readonly CommandNode[]): string {
  const lines = nodes.flatMap((node) => {
    const when = quote(`__conductor_at ${node.path === '' ? "''" : `'${node.path}'`}`);
    const commands = node.children.map(
      (child) => `-f -n ${when} -a ${quote(lastWord(child))} -d ${quote(child.description)}`,
    );
    const options = node.options.map((option) => {
      const short = option.short === undefined ? '' : ` -s ${option.short.slice(1)}`;
      const value = option.takesValue ? ' -r' : '';
      return `-n ${when} -l ${option.long.slice(2)}${short}${value} -d ${quote(option.description)}`;
    });
    const names = namesOf(node);
    const asked =
      names === '' ? [] : [`-n ${when} -a ${quote(`(conductor completion ${names} 2>/dev/null)`)}`];
    return [...commands, ...options, ...asked];
  });
  const completes = PROGRAMS.flatMap((program) => lines.map((line) => `complete -c ${program} ${line}`));
  return `# fish completion for conductor. Use it: conductor completion fish > ~/.config/fish/completions/conductor.fish
function __conductor_at
    set -l at ''
    for word in (commandline -opc)[2..]
        switch "$at $word"
            case ${stepsOf(nodes).map(quote).join(' ')}
                set at (string trim "$at $word")
        end
    end
    test "$at" = "$argv[1]"
end
${completes.join('\n')}
`;
}

/** What leads from a command to one below it: `jobs list` from `jobs`, and ` jobs` from the program itself. */
function stepsOf(nodes: readonly CommandNode[]): readonly string[] {
  return nodes.flatMap((node) => node.children.map((child) => `${node.path} ${lastWord(child)}`));
}

function wordsOf(node: CommandNode): readonly string[] {
  return [...node.children.map(lastWord), ...node.options.map((option) => option.long), '--help'];
}

/** What the first argument of a command names; empty when it is none of `NAMES`. */
function namesOf({ args }: CommandNode): string {
  return (
    NAMES.find((names) => args[0] === `<${names.slice(0, -1)}>` || args[0] === `[${names.slice(0, -1)}]`) ??
    ''
  );
}

function lastWord({ path }: CommandNode): string {
  return path.slice(path.lastIndexOf(' ') + 1);
}

/** Single quotes, as all three shells read them. */
function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

const PROGRAMS = ['conductor', 'cdr'];
