// Shows /openapi.json as text: no code of others, nothing from other hosts.

const METHODS = ["get", "put", "post", "patch", "delete"];

function element(tag, text, ...children) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function nameOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.type === "array") return `${nameOf(schema.items)}[]`;
  if (Array.isArray(schema.type)) return schema.type.join(" or ");
  if (schema.oneOf) return schema.oneOf.map(nameOf).join(" or ");
  return schema.type ?? "";
}

function table(head, rows) {
  const made = element("table");
  made.append(element("tr", "", ...head.map((text) => element("th", text))));
  for (const row of rows) made.append(element("tr", "", ...row.map((text) => element("td", text))));
  return made;
}

function operation(method, path, it) {
  const badge = element("span", method);
  badge.className = "method";
  const made = element("details");
  made.append(element("summary", "", badge, element("code", path), ` ${it.summary ?? ""}`));
  if (it.description) made.append(element("p", it.description));
  const parameters = (it.parameters ?? []).map((one) => [
    one.name,
    one.in,
    nameOf(one.schema),
    one.required ? "required" : "",
    one.description ?? "",
  ]);
  if (parameters.length) made.append(table(["parameter", "in", "type", "", ""], parameters));
  const body = it.requestBody?.content?.["application/json"]?.schema;
  if (body) made.append(element("p", `Body: ${nameOf(body)}`));
  const responses = Object.entries(it.responses ?? {}).map(([status, one]) => [
    status,
    Object.values(one.content ?? {})
      .map((content) => nameOf(content.schema) || "text")
      .join(", "),
    one.description ?? "",
  ]);
  made.append(table(["status", "answer", ""], responses));
  return made;
}

async function show() {
  const about = document.getElementById("about");
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const api = await answer.json();
  about.textContent = `${api.info.description ?? ""} Version ${api.info.version}. `;
  const link = element("a", "openapi.json");
  link.href = "/openapi.json";
  about.append(link);
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      document.getElementById("operations").append(operation(method, path, item[method]));
    }
  }
  for (const [name, schema] of Object.entries(api.components?.schemas ?? {})) {
    const made = element("details", "", element("summary", "", element("code", name)));
    made.append(element("pre", JSON.stringify(schema, null, 2)));
    document.getElementById("schemas").append(made);
  }
}

show().catch((error) => {
  document.getElementById("about").textContent = `The description cannot be shown: ${error.message}`;
});
