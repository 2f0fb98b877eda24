/** What a task's id says: task ids are `<job>-<ULID>`. */

/** The job a task belongs to. */
export function jobOfTask(taskId: string): string {
  return taskId.replace(/-[0-9A-HJKMNP-TV-Z]{26}$/, '');
}
