/** The name of the one leadership there is: of scheduling. */
export const LEADERSHIP = 'leader';
