package fields

// stillOpen are the rows that no control bounds yet.
var stillOpen = []string{
	"core.v1.ConfigMap: binaryData",
	"core.v1.ConfigMap: data",
	"core.v1.Secret: data",
	"core.v1.Secret: stringData",
}
