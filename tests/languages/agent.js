// Counts the words of a text.

export const handler = {
  handle(task) {
    if (task.input.tag !== "text") {
      throw { tag: "invalid-input", val: "give me a text" };
    }
    const words = task.input.val.split(/\s+/).filter((word) => word !== "");
    const longest = words.reduce((longest, word) => (word.length > longest.length ? word : longest), "");
    return { tag: "json", val: JSON.stringify({ words: words.length, longest }) };
  },
};
